#!/bin/sh
# shellcheck disable=SC2317 # a function that a check calls
# Ranks that are killed, stopped, or fail: the job ends by itself, says who it was, and leaves nobody behind.
#   sh tests/mpi/faults.sh PROGRAMS openmpi|mpich
set -eu
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

# One rank fails alone; the launcher hands out its status.
for _ in 1 2 3; do
    launch 3 fail 1 65
    [ "$rc" -ne 65 ] || break
done
check "one failure is the job's" [ "$rc" -eq 65 ]
check "who failed is told" says 'rank 1: alone'
# All fail with one status, in order.
launch 3 settle 75
check "a settled status is the job's" [ "$rc" -eq 75 ]
launch 3 late 75
check "who shares a failure is waited for" [ "$rc" -eq 75 ]
check "nobody complains meanwhile" sh -c "! grep 'has waited' '$work/out'"
# A library would wait for the end of what some have begun.
launch 3 pending 76
check "a call that nobody ends does not keep the job" handed_out 76

export SL_PROBE_LIMIT=3
start 3 mpi_probe
kill -KILL "$(process 2)"
end_job
check "a killed rank ends the job" [ "$rc" -ne 0 ]
check "within ten seconds ($seconds)" [ "$seconds" -lt 10 ]
check "nobody is left after a kill" none_left

# A short stop is none of anybody's business, nor is a long one of the whole job.
start 3 mpi_probe
kill -STOP "$(process 2)"
sleep 1
kill -CONT "$(process 2)"
kill -STOP "$(process 0)" "$(process 1)" "$(process 2)"
sleep 4
kill -CONT "$(process 0)" "$(process 1)" "$(process 2)"
sleep 1
rc=0
for rank in 0 1 2; do
    check "rank $rank goes on after a stop" lives $rank
done
kill -STOP "$(process 2)"
end_job
check "a rank that is stopped for ever ends the job" handed_out_past_a_stop 74
check "within the limit ($seconds)" [ "$seconds" -lt 10 ]
check "the stopped rank is named" says 'rank [01] on [^ ]+ has waited [0-9.]+ s in training, step [0-9]+, for rank 2 on [^ ]+: not heard for [0-9.]+ s, last in training'
# One that is a step behind, itself waiting and just heard, is told of without being blamed.
behind='; rank [01] on [^:;]+: in training, step [0-9]+, waiting for [0-9.]+ s, heard 0\.[0-9] s ago'
check "the others are not" sh -c "! sed -E 's/$behind//g' '$work/out' | grep -E 'for rank [01] on|; rank [01] on'"
check "nobody is left after a stop" none_left

# A rank that never starts: the library cannot be interrupted, the process can.
export SL_PROBE_LIMIT=2
rc=0
timeout 60 "mpirun.$library" -np 1 "$bin/mpi_probe" : -np 1 sleep 30 >"$work/out" 2>&1 || rc=$?
check "a rank that does not start ends the job" [ "$rc" -ne 0 ]
check "not by the patience of this test" [ "$rc" -ne 124 ]
check "the limit is named" says 'the start of [^,]+, all ranks of it, takes longer than the 2 s'
exit "$failed"
