#!/bin/sh
# Runs the compiler of a .cu file and keeps what its assembler says of each kernel's registers, shared memory, stack and
# spills beside the object, in OBJECT.resources (tests/cuda/resources.sh reads it). Everything else it says is passed on.
#   sh cmake/keep_resources.sh COMPILER ... -o OBJECT ...
set -eu
object='' before=''
for word; do
    [ "$before" != -o ] || object=$word
    before=$word
done
[ -n "$object" ] || exec "$@"
status=0
"$@" 2>"$object.said" || status=$?
awk -v kept="$object.resources" '
    BEGIN { printf "" >kept }
    /^ptxas info/ || /bytes stack frame/ { print >kept; next }
    { print }' "$object.said" >&2
rm -f "$object.said"
exit $status
