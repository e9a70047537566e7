#!/bin/sh
# Without a launcher no MPI library is touched; what is asked for and not there is named.
#   sh tests/mpi/alone.sh PROGRAMS
set -eu
bin=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; cat "$work/out"; failed=1; }
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
unset SL_WIRE SL_MODULE_PATH

LD_DEBUG=libs "$bin/mpi_probe" >"$work/out" 2>&1 || fail "alone"
grep -q '^alone$' "$work/out" || fail "it does not say that it is alone"
grep -q 'libjpeg\|libc\.so' "$work/out" || fail "LD_DEBUG shows no library"
! grep -qE 'libmpi|libstarling_wire' "$work/out" || fail "a process that is alone looks for MPI"
for program in "$bin"/starling-* "$bin"/train_*; do
    ldd "$program" >"$work/out"
    ! grep -qE 'libmpi|libpmi' "$work/out" || fail "$program is linked with MPI"
done

# refused STATUS TEXT [VARIABLE=VALUE...]: a copy of the program, far from its modules.
cp "$bin/mpi_probe" "$work/"
refused() {
    status=$1 text=$2 rc=0
    shift 2
    env "$@" "$work/mpi_probe" >"$work/out" 2>&1 || rc=$?
    [ "$rc" -eq "$status" ] || fail "$*: $rc, not $status"
    grep -qF "$text" "$work/out" || fail "$*: does not say '$text'"
}
refused 78 'SL_WIRE=opnmpi: the choices are openmpi, mpich and none' SL_WIRE=opnmpi
refused 69 "$work/libstarling_wire_mpich.so" PMI_RANK=0 PMI_SIZE=2
refused 69 "$work/elsewhere/libstarling_wire_openmpi.so, /nowhere/libstarling_wire_openmpi.so" \
    OMPI_COMM_WORLD_SIZE=2 SL_MODULE_PATH="$work/elsewhere::/nowhere"
refused 69 'srun --mpi=pmix' SLURM_STEP_NUM_TASKS=4
mkdir "$work/elsewhere"
echo "no library" >"$work/elsewhere/libstarling_wire_openmpi.so"
refused 69 'libopenmpi3' PMIX_RANK=0 SL_MODULE_PATH="$work/elsewhere"
exit $failed
