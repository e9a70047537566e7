#!/bin/sh
# starling-doctor from the outside: its report, its exit codes, and that it leaves nothing behind.
#   sh tests/doctor.sh PROGRAM
set -eu
doctor=$1
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
failed=0

# ends STATUS ARGUMENT...
ends() {
    expected=$1
    shift
    status=0
    "$doctor" "$@" >"$place/out" 2>"$place/err" || status=$?
    [ "$status" -eq "$expected" ] || { echo "starling-doctor $*: exit $status, not $expected"; cat "$place/err"; failed=1; }
}

# says PATTERN
says() {
    grep -Eq -- "$1" "$place/out" "$place/err" || { echo "no line like: $1"; cat "$place/out" "$place/err"; failed=1; }
}

ends 0
for part in '^built$' '^machine$' '^  processor +[^ ]' '^  memory +[0-9.]+ GiB' '^  conv2d_fwd +conv0' '^  image_to_float +[a-z]' \
    '^  sl_conv2d_fwd_.* passed$'; do
    says "$part"
done
says '^  threads +[0-9]+ by default: [A-Za-z]'
for wire in openmpi mpich; do
    if [ -e "$(dirname "$doctor")/libstarling_wire_$wire.so" ]; then
        says "^  $wire +/.*/libstarling_wire_$wire\.so$"
    else
        says "^  $wire +none: Starling's module for .* is not there: looked for /"
    fi
done
says '^  launcher +none: this process is alone$'
says '^backends$'
says '^  cpu +[^ ]'
says '^  auto +(cpu|cuda:0 \(.*\))$'
says '^nodes$'
mkdir "$place/modules" "$place/cuda" "$place/nccl"
if [ -e "$(dirname "$doctor")/libstarling_nccl.so" ]; then
    says '^  nccl +(NCCL 2\.[0-9]+\.[0-9]+ by /.*/libstarling_nccl\.so|none: NCCL is not there \(.*set SL_NCCL_LIBRARY.*)$'
    SL_NCCL_LIBRARY="$place/nothing" ends 0
    says "^  nccl +none: NCCL is not there .*$place/nothing"
else
    says '^  nccl +none: there is no plug-in for NCCL: looked for /'
fi
echo text >"$place/nccl/libstarling_nccl.so"
SL_MODULE_PATH="$place/nccl" ends 0
says "^  nccl +none: $place/nccl/libstarling_nccl\.so: "
echo text >"$place/cuda/libstarling_cuda.so"
SL_MODULE_PATH="$place/cuda" ends 0
says "^  cuda +none: $place/cuda/libstarling_cuda\.so: "
echo text >"$place/modules/libstarling_wire_mpich.so"
export SL_MODULE_PATH="$place/modules" SL_WIRE=mpich
ends 0
says "^  mpich +none: $place/modules/libstarling_wire_mpich\.so: .*; is MPICH \(libmpich12\) installed\?$"
says '^  launcher +mpich$'
SL_WIRE=pigeon
ends 78
says 'SL_WIRE=pigeon: the choices are openmpi, mpich and none'
unset SL_MODULE_PATH SL_WIRE
OMP_NUM_THREADS=1
export OMP_NUM_THREADS
ends 0
says '^  threads +1 by default: '
unset OMP_NUM_THREADS
mkdir "$place/folder"
ends 0 --output "$place/folder"
says 'write.sync.rename +1 MiB in'
[ -z "$(ls -A "$place/folder")" ] || { echo "left behind:"; ls -A "$place/folder"; failed=1; }
ends 73 --output "$place/missing"
says "$place/missing"
ends 64 --output
ends 64 --output "$place" --output "$place"
says 'given twice'
if grep -q avx2 /proc/cpuinfo; then
    ends 0 --kernels exact
    says '^kernels of the default network, batch 32, fp32, --kernels exact$'
    says '^  +conv1 to conv5 +direct_[a-z0-9]+ \(exact\); not ([a-z0-9_]+ \((not exact|needs [^)]*)\), )*winograd_[a-z0-9]+ \(not exact\)'
fi
export SL_CACHE_DIR="$place/cache"
ends 0
says "^  cache of --kernels fastest: $place/cache/kernels-[0-9a-f]+\.json, not there yet\$"
ends 64 --kernels slowest
ends 64 argument
ends 64 --unknown
ends 0 --help
ends 0 --version
SL_ISA=ref
export SL_ISA
ends 0
says '^  SL_ISA=ref$'
says '^  conv2d_fwd +conv0 to conv6 +ref'
exit $failed
