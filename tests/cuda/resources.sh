#!/bin/sh
# No kernel of the GPU keeps anything in local memory: a spill costs what no test of results can see. Reads what the
# assembler said of every kernel when its object was made (cmake/keep_resources.sh), for each machine code.
#   sh tests/cuda/resources.sh OBJECT...          complains of spills and stacks, prints the table if there are any
#   sh tests/cuda/resources.sh --table OBJECT...  prints the table
set -eu
table=0
[ "${1:-}" != --table ] || { table=1; shift; }
[ $# -gt 0 ] || { echo "no nvcc when this was built: no kernel of a GPU was compiled"; exit 77; }
for object; do
    shift
    set -- "$@" "$object.resources"
    [ -e "$object.resources" ] || { echo "$object.resources is missing: build the object again"; exit 1; }
done

# arch, registers, shared, stack, spill stores, spill loads, file, kernel
rows=$(awk '
    /Compiling entry function/ {
        split($0, quoted, "\047")
        kernel = quoted[2]; arch = quoted[4]; stack = stores = loads = 0
        entry = 1
    }
    /Function properties for/ { entry = $NF == kernel }
    /bytes stack frame/ && entry { stack = $1; stores = $5; loads = $9 }
    /Used [0-9]+ registers/ {
        registers = shared = 0
        for (i = 1; i < NF; i++) {
            if ($i == "Used") registers = $(i + 1)
            if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $i
        }
        file = FILENAME; sub(/.*\//, "", file); sub(/\.o\.resources$/, "", file)
        print arch, registers, shared, stack, stores, loads, file, kernel
    }' "$@" | { if command -v c++filt >/dev/null; then c++filt; else cat; fi; } |
    sed 's/(anonymous namespace):://g; s/ void / /; s/(.*//' | LC_ALL=C sort -k7,7 -k8,8 -k1,1)
[ -n "$rows" ] || { echo "the assembler said nothing of any kernel"; exit 1; }

bad=$(printf '%s\n' "$rows" | awk '$4 > 0 || $5 > 0 || $6 > 0')
if [ $table -eq 1 ] || [ -n "$bad" ]; then
    printf '%-7s %9s %7s %6s %7s %6s  %-22s %s\n' code registers shared stack stores loads file kernel
    printf '%s\n' "$rows" | awk '{
        kernel = $8
        for (i = 9; i <= NF; i++) kernel = kernel " " $i
        printf "%-7s %9d %7d %6d %7d %6d  %-22s %s\n", $1, $2, $3, $4, $5, $6, $7, kernel
    }'
fi
if [ -n "$bad" ]; then
    printf '\n%s kernels keep something in local memory: no array that is indexed, no more registers than there are\n' \
        "$(printf '%s\n' "$bad" | wc -l)"
    exit 1
fi
printf '%s\n' "$rows" | awk '
    { seen[$1]++; if ($2 > most[$1]) most[$1] = $2 }
    END { for (arch in seen) printf "%s: %d kernels, at most %d registers, no stack, no spills\n", arch, seen[arch], most[arch] }'
