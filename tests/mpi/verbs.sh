#!/bin/sh
# Every call over MPI gives what it gives between threads of one process, bit for bit.
#   sh tests/mpi/verbs.sh PROGRAMS openmpi|mpich
set -eu
# shellcheck source=tests/mpi/launch.sh
. "$(dirname "$0")/launch.sh"

for ranks in 1 2 4; do
    "$bin/mpi_probe" verbs $ranks | LC_ALL=C sort >"$work/loop"
    launch $ranks verbs
    LC_ALL=C sort "$work/out" >"$work/sorted"
    check "$ranks ranks end well" [ "$rc" -eq 0 ]
    check "$ranks ranks as threads" cmp "$work/loop" "$work/sorted"
    check "$ranks ranks all speak" [ "$(wc -l <"$work/loop")" -eq "$ranks" ]
done
launch 2
check "the wire's name, ranks and hosts" says "^$library, rank 1 of 2, 1 of 2 on its host\$"
exit "$failed"
