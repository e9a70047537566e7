#!/bin/sh
# --backend, --device and --precision tf32 on a machine whose GPU cannot be used: what falls back and says so, and what
# does not.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
mkdir "$place/modules"
echo 'no plug-in' >"$place/modules/libstarling_cuda.so"
export SL_MODULE_PATH="$place/modules"
unset SL_BACKEND_PRIORITY_CUDA SL_BACKEND_PRIORITY_CPU
run=$place/run
reason="cuda is not used: $place/modules/libstarling_cuda\.so: "

check 'auto trains on the processor' trains 0 "$run" --epochs 1
check 'and does not trouble the terminal with it' not says backend
check 'the log says why' grep -q "backend cpu; $reason" "$run/log.jsonl"
check 'the configuration has what was used' grep -q '"backend": "cpu"' "$run/config.json"
check 'and no GPU' not grep -q '"device' "$run/config.json"
check 'auto, asked for' trains 0 "$place/asked" --epochs 1 --backend auto
check 'says it' says "backend cpu; $reason"
check 'a GPU that may be there' trains 0 "$place/maybe" --max-steps 1 --device 1 --device-memory-limit 1GB
check 'the configuration has its limit' grep -q '"device-memory-limit": 1073741824' "$place/maybe/config.json"
check 'a dry run' trains 0 "$place/dry" --dry-run --backend cpu
check 'says it' says '^backend cpu$'

# computes PROGRAM ARGUMENT...: what every program that computes does with these options.
computes() {
    program=$1
    refuses 69 "the backend cuda cannot be used: $place/modules/libstarling_cuda\.so: " "$program --backend cuda" "$@" --backend cuda
    refuses 69 "no backend can be used; $reason.*; cpu is not used: a processor has no tf32" "$program --precision tf32" \
        "$@" --precision tf32
    refuses 69 'a processor has no tf32; use --precision fp32 or bf16' "$program --precision tf32 --backend cpu" \
        "$@" --precision tf32 --backend cpu
    for option in '--device 0' '--device-memory-limit 1GB'; do
        # shellcheck disable=SC2086 # two words
        refuses 64 "${option% *} belongs to a GPU" "$program $option --backend cpu" "$@" $option --backend cpu
    done
    SL_BACKEND_PRIORITY_CUDA=high
    export SL_BACKEND_PRIORITY_CUDA
    refuses 78 'SL_BACKEND_PRIORITY_CUDA=high' "$program with a priority that is none" "$@"
    unset SL_BACKEND_PRIORITY_CUDA
}

computes train_tinyimagenet --data "$data" --run "$place/none" --model "$here/tiny.json" --batch-size 5 --threads 1
check 'what was refused has left nothing' not test -e "$place/none"
computes starling-evaluate --data "$data" --model "$run"
computes starling-predict --data "$data" --model "$run"
for program in starling-evaluate starling-predict; do
    ends 0 "$program" "$program" --data "$data" --model "$run"
    check 'does not speak of backends' not says backend
    ends 0 "$program, asked for a choice" "$program" --data "$data" --model "$run" --backend auto
    check 'says why' says "^backend cpu; $reason"
done
finish
