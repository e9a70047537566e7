#!/bin/sh
# Every exchange over MPI gives what it gives between threads of one process, bit for bit.
#   sh tests/mpi/exchanges.sh PROGRAMS openmpi|mpich
set -eu
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

for ranks in 2 4; do
    "$bin/mpi_exchange" $ranks | LC_ALL=C sort >"$work/loop"
    rc=0
    timeout 200 "mpirun.$library" -np $ranks "$bin/mpi_exchange" >"$work/out" 2>&1 || rc=$?
    LC_ALL=C sort "$work/out" >"$work/sorted"
    check "$ranks ranks end well" [ $rc -eq 0 ]
    check "$ranks ranks as threads" cmp "$work/loop" "$work/sorted"
    check "3 exchanges of $ranks ranks" [ "$(grep -c 'status 0,' "$work/sorted")" -eq $((3 * ranks)) ]
done
exit "$failed"
