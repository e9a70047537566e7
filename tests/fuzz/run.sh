#!/bin/sh
# Searches with one fuzz target for some seconds: sh tests/fuzz/run.sh BUILD_FOLDER SECONDS NAME
# It begins with the kept inputs, corpus/NAME, and with what earlier searches left in the build folder: corpus-NAME, all
# that reached new code, and found-NAME, all that failed. The target's own words go to fuzz_NAME.log.
set -eu
folder=$1 seconds=$2 name=$3
here=$(dirname "$0")
log=$folder/fuzz_$name.log
mkdir -p "$folder/corpus-$name" "$folder/found-$name"

# libFuzzer writes to the first folder.
set -- "$folder/corpus-$name" "$folder/found-$name" "$here/corpus/$name"
[ "$name" != jpeg ] || set -- "$@" "$here/../cases"
[ ! -e "$here/$name.dict" ] || set -- -dict="$here/$name.dict" "$@"
failed=0
OMP_NUM_THREADS=1 "$folder/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$folder/found-$name/" "$@" >"$log" 2>&1 || failed=1

if [ $failed -eq 0 ]; then
    echo "$name: nothing found in $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log") inputs"
else
    echo "$name: FOUND $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1); $log says:"
    grep -E 'not so: |runtime error: |ERROR: |^SUMMARY: ' "$log" | head -n 4
fi
exit $failed
