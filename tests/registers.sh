#!/bin/sh
# No register tile of the convolutions keeps a vector in memory: that costs a fifth of its speed and no test of results
# can see it.
#   sh tests/registers.sh OBJECT...
set -eu
: "${1:?usage: registers.sh OBJECT...}"
for object; do
    code=$(objdump -d --no-show-raw-insn "$object")
    tiles=$(printf '%s\n' "$code" | grep -c '^[0-9a-f]* <.*_tile_.*>:') || { echo "$object: no tiles found"; exit 1; }
    spilled=$(printf '%s\n' "$code" | awk '/^[0-9a-f]+ </ { name = $2 }
        name ~ /_tile_/ && /[yz]mm/ && /\(%r[sb]p[,)]/ { print name, $0 }')
    [ -z "$spilled" ] || { printf '%s: a vector waits in memory\n%s\n' "$object" "$spilled"; exit 1; }
    echo "$object: $tiles tiles, all vectors in registers"
done
