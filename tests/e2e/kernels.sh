#!/bin/sh
# --kernels: what it chooses, what it says, what it remembers, and that a run keeps its kernels.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
export SL_CACHE_DIR="$place/cache"

# Wide enough for Winograd's rows.
cat >"$place/wide.json" <<'J'
{"name": "wide", "input": {"height": 16, "width": 16, "channels": 3}, "layers": [
  {"name": "conv0", "type": "conv2d", "filters": 16, "kernel": [3, 3], "padding": "same", "bias": false},
  {"name": "act0", "type": "leaky_relu", "slope": 0.1},
  {"name": "conv1", "type": "conv2d", "filters": 16, "kernel": [3, 3], "padding": "same", "bias": false},
  {"name": "conv2", "type": "conv2d", "filters": 4, "kernel": [1, 1], "padding": "same", "bias": true},
  {"name": "pool2", "type": "average_pool", "global": true},
  {"name": "loss", "type": "softmax_nll"}
]}
J
# wide RUN OPTION...: two epochs.
wide() {
    run=$1
    shift
    trains 0 "$run" --model "$place/wide.json" --epochs 2 --eval-every 0 --lr 0.002 "$@"
}
config() { grep -q "\"kernels\": *\"$2\"" "$1/config.json"; }

check 'as shipped' wide "$place/shipped"
check 'config.json says so' config "$place/shipped" shipped
check 'nothing is measured' not says measuring
check 'and no cache made' not test -e "$SL_CACHE_DIR"

# ---- exact ----
check 'exact' wide "$place/exact" --kernels=exact
check 'config.json says so' config "$place/exact" exact
if grep -q avx2 /proc/cpuinfo; then
    check 'it ends in other bits' not same_run "$place/exact" "$place/shipped" >/dev/null
    check 'the plan' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels exact
    check 'has direct rows for their exactness' prints '^ +conv2d_fwd direct_[a-z0-9]+ \(exact\), '
    export SL_VERBOSE=1
    check 'telling each choice' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels exact
    check 'with its reason' says '^kernel conv2d_fwd: direct_[a-z0-9]+ \(exact\)$'
    check 'the others with theirs' says '^kernel leaky_relu_fwd: [a-z0-9]+ \(first in the table\)$'
    export SL_KERNEL=conv2d_fwd:ref
    check 'with a row that is forced' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels exact
    check 'it wins' says '^kernel conv2d_fwd: ref \(forced by SL_KERNEL\)$'
    unset SL_VERBOSE SL_KERNEL
fi

# ---- fastest ----
check 'fastest' wide "$place/fastest" --kernels=fastest
check 'config.json says so' config "$place/fastest" fastest
if grep -q avx2 /proc/cpuinfo && grep -q avx512f /proc/cpuinfo; then
    check 'it says that it measures' says '^measuring which kernels are fastest for training, batch 5, in the time of 25 steps$'
    check 'and where it keeps that' says "^the fastest kernels are remembered in $SL_CACHE_DIR/kernels-[0-9a-f]+\.json\$"
    check 'the log has it too' grep -q '"text":"measuring which' "$place/fastest/log.jsonl"
    check 'again' wide "$place/fastest2" --kernels=fastest
    check 'nothing is measured' not says measuring
    check 'and the bits are the same' same_run "$place/fastest" "$place/fastest2"
    for cache in "$SL_CACHE_DIR"/*; do echo '{"of":' >"$cache"; done
    check 'with a damaged cache' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels fastest
    check 'it is measured anew' says '^measuring anew: .*kernels-[0-9a-f]+\.json: line [0-9]+'
    check 'the plan says what each row takes' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels fastest
    check 'and the next best' prints '^ +conv2d_fwd [a-z0-9_]+ \(fastest: [0-9.]+ ms, next [0-9.]+, from the cache\), '
    SL_CACHE_DIR=/proc/nowhere
    check 'a cache that cannot be written' trains 0 "$place/dry" --model "$place/wide.json" --dry-run --kernels fastest
    check 'is told' says '^the fastest kernels are not remembered: /proc/nowhere'
    SL_CACHE_DIR=$place/cache
fi

# ---- a run keeps its kernels ----
# The cache may be gone, and --kernels need not be given again.
for policy in exact fastest; do
    check "$policy, the first steps" trains 0 "$place/part-$policy" --model "$place/wide.json" --max-steps 7 --eval-every 0 \
        --lr 0.002 --kernels $policy
    cp -R "$place/part-$policy" "$place/whole-$policy"
    check 'the rest, resumed twice' trains 0 "$place/whole-$policy" --model "$place/wide.json" --epochs 2 --eval-every 0 \
        --lr 0.002 --resume
    rm -rf "$SL_CACHE_DIR"
    check 'now in two parts' trains 0 "$place/part-$policy" --model "$place/wide.json" --max-steps 13 --eval-every 0 \
        --lr 0.002 --resume
    check 'nothing is measured' not says measuring
    check 'nor different' not says 'was made with the kernels'
    check 'config.json has the policy' config "$place/part-$policy" $policy
    check 'to the end' trains 0 "$place/part-$policy" --model "$place/wide.json" --epochs 2 --eval-every 0 \
        --lr 0.002 --resume --kernels $policy
    check 'the same bits' same_run "$place/part-$policy" "$place/whole-$policy"
done
check 'exact in parts is exact at once' same_run "$place/part-exact" "$place/exact"
if grep -q avx2 /proc/cpuinfo; then
    check 'another policy' trains 0 "$place/part-exact" --model "$place/wide.json" --epochs 3 --eval-every 0 --lr 0.002 \
        --resume --kernels shipped
    check 'is told' says 'was made with the kernels exact: .* and this run has .*winograd_[a-z0-9]+ .*: it goes on, but not to the same bits'
    export SL_ISA=avx2
    check 'a run of a smaller processor' wide "$place/small"
    cp -R "$place/small" "$place/small-on"
    check 'goes on there' trains 0 "$place/small-on" --model "$place/wide.json" --epochs 3 --eval-every 0 --lr 0.002 --resume
    unset SL_ISA
    check 'and on a larger one' trains 0 "$place/small" --model "$place/wide.json" --epochs 3 --eval-every 0 --lr 0.002 --resume
    check 'with its kernels' not says 'was made with the kernels'
    check 'to the same bits' same_run "$place/small" "$place/small-on"
fi

# ---- programs that only answer ----
for policy in shipped exact fastest own; do
    ends 0 "evaluating, $policy" starling-evaluate --data "$data" --model "$place/shipped" --threads 1 --kernels $policy
    ends 0 "predicting, $policy" starling-predict --data "$data" --model "$place/shipped" --threads 1 --kernels $policy
done
refuses 64 '--kernels slowest: must be one of shipped\|fastest\|exact\|own\|cudnn' 'a policy misspelt' \
    starling-evaluate --data "$data" --model "$place/shipped" --kernels slowest
refuses 69 '--kernels cudnn: cuDNN is for GPUs, and the device is cpu' 'cuDNN without a GPU' \
    starling-evaluate --data "$data" --model "$place/shipped" --backend cpu --kernels cudnn
refuses 69 '--kernels cudnn: cuDNN is for GPUs' 'nor for one image' starling-predict --data "$data" \
    --model "$place/shipped" --backend cpu --kernels cudnn
finish
