#!/bin/sh
# Nodes of two ranks over MPI, their ranks processes that share a fake NCCL: what they give is what threads of one process
# give, bit for bit; and a rank that is gone ends the job.
#   sh tests/mpi/teams.sh PROGRAMS openmpi|mpich NCCL
set -eu
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"
export SL_NCCL_LIBRARY="$3"

"$bin/mpi_team" 4 | LC_ALL=C sort >"$work/loop"
rc=0
timeout 200 "mpirun.$library" -np 4 "$bin/mpi_team" >"$work/out" 2>&1 || rc=$?
LC_ALL=C sort "$work/out" >"$work/sorted"
check "two nodes end well" [ $rc -eq 0 ]
check "processes as threads" cmp "$work/loop" "$work/sorted"
check "3 exchanges of 4 ranks" [ "$(grep -c 'of 2 nodes: status 0,' "$work/sorted")" -eq 12 ]

export SL_PROBE_LIMIT=3
start 4 mpi_team
kill -KILL "$(process 3)"
end_job
check "a killed rank ends the job" [ "$rc" -ne 0 ]
check "within ten seconds ($seconds)" [ "$seconds" -lt 10 ]
check "nobody is left after a kill" none_left

for rank in 2 3; do
    start 4 mpi_team
    sleep 1 # until all are heard
    kill -STOP "$(process $rank)"
    end_job
    check "a rank that is stopped for ever ends the job" handed_out_past_a_stop 74
    check "within the limit ($seconds)" [ "$seconds" -lt 10 ]
    check "the stopped rank is named" says "rank [0-3] on [^ ]+ has waited [0-9.]+ s in training, step [0-9]+, for rank $rank on [^ ]+: not heard for"
    check "nobody is left after a stop" none_left
done
exit "$failed"
