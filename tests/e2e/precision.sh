#!/bin/sh
# --precision: what it writes down, what it refuses, and that either precision serves what either has trained.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

# learns STATUS RUN OPTION...
learns() {
    wanted=$1 learned=$2
    shift 2
    ends "$wanted" "training $*" train_tinyimagenet --data "$data" --run "$learned" --model "$here/tiny.json" --batch-size 5 \
        --threads 1 "$@"
}

for precision in fp32 bf16; do
    learns 0 "$place/$precision" --epochs 1 --precision $precision
    check 'the configuration has it' grep -q "\"precision\": \"$precision\"" "$place/$precision/config.json"
    for served in fp32 bf16; do
        ends 0 "served in $served" starling-evaluate --data "$data" --model "$place/$precision" --precision $served
        check 'with an accuracy' prints '^Accuracy +[0-9.]+'
        ends 0 "predicted in $served" starling-predict --data "$data" --model "$place/$precision" --precision $served
    done
done
learns 78 "$place/bf16" --epochs 2 --resume
check 'and names both' says 'it has precision bf16 and this run fp32'
learns 0 "$place/bf16" --epochs 2 --resume --precision bf16
learns 0 "$place/whole" --epochs 2 --precision bf16
check 'a resumed run has the bits of an unbroken one' \
    cmp "$place/bf16/$(cat "$place/bf16/last-good")/model.safetensors" "$place/whole/$(cat "$place/whole/last-good")/model.safetensors"
learns 0 "$place/dry" --precision bf16 --dry-run
check 'the plan says it' prints '^precision bf16$'
ends 0 'the doctor in bf16' starling-doctor --precision bf16
check 'has a row of bf16' prints '^  norm_fwd .*bf16'
finish
