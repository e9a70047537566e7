#!/bin/sh
# What ranks learn and say: the same bits again and under the other launcher, each message once, the same answers for any
# number of them.
# shellcheck disable=SC2317,SC2154 # functions that check calls; what lib.sh and ranks.sh give
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/ranks.sh
. "$here/ranks.sh"
make_data
step_records() { grep '"event":"step"' "$1/log.jsonl" >"$place/steps"; }
# values KEY: of a number in these records.
values() { sed -n "s/.*\"$1\":\\([^,}]*\\).*/\\1/p" "$place/steps"; }

# ---- the exchanges ----
for exchange in threshold dense updates; do
    check "2 ranks, $exchange" trains_as 2 0 "$place/$exchange" --epochs 2 --exchange $exchange --hash-every 1 --log-every 1
    check 'the folder alone on stdout' test "$(cat "$place/out")" = "$place/$exchange"
    check 'who they are' once "^ranks: 2, hosts: 1, wire: $library; global batch 6, 3 each; exchange: $exchange.*; learning rate as given\$"
    for said in 'memory: ' 'epoch 1/2  loss' 'epoch 2/2  loss' 'best: ' 'each rank sent .* where a dense exchange sends'; do
        check "once \"$said\"" once "^$said"
    done
    step_records "$place/$exchange"
    check 'a record of each step' lines 16 "$place/steps"
    for key in bytes_sent bytes_dense exchange_seconds; do
        check "with $key" test "$(values $key | grep -c '^[0-9]')" -eq 16
    done
    check 'of 6 images' test "$(values samples | sort -u)" = 6
done
check 'threshold: tau, density, residual and clip' grep -Eq \
    '"tau":0\.[0-9]+,"density":0\.[0-9]+,"residual_norm":[0-9.]+,"clipped":[0-9.e-]+,' "$place/threshold/log.jsonl"
check 'what each tensor sent' grep -Eq '"sent.conv0.weight":[0-9]+,"sent.norm0.gamma":[0-9]+' "$place/threshold/log.jsonl"
check 'dense: none of that' not grep -Eq '"(tau|density|residual_norm|sent\.[a-z0-9.]*)":' "$place/dense/log.jsonl"
fewer() { sed -n 's/.* sends .*: \([0-9.]*\) times fewer.*/\1/p' "$1/log.jsonl"; }
check "threshold sends less, $(fewer "$place/threshold") times" awk "BEGIN { exit !($(fewer "$place/threshold") > 5) }"
check 'dense sends what a dense exchange sends' test "$(fewer "$place/dense")" = 1.0
for pair in 'exchange": "updates"' 'combine": "mean"' 'threshold": 0.001' 'clip": 5.0' 'hash-every": 1,' 'scale-lr": false'; do
    check "config.json says $pair" grep -q "\"$pair" "$place/updates/config.json"
done
check 'a file of each rank' test -s "$(newest "$place/threshold")/rank-0001.safetensors"
check 'which have residuals of their own' not cmp -s "$(newest "$place/threshold")/rank-0000.safetensors" "$(newest "$place/threshold")/rank-0001.safetensors"

# ---- the same bits ----
other=mpich
[ "$library" = openmpi ] || other=openmpi
for exchange in threshold dense updates; do
    check "$exchange once more" trains_as 2 0 "$place/again-$exchange" --epochs 2 --exchange $exchange --workers 2 --checkpoint-every 3
    check 'gives the same bits' same_ranks "$place/again-$exchange" "$place/$exchange"
done
if command -v "mpirun.$other" >/dev/null && [ -e "$bin/libstarling_wire_$other.so" ]; then
    ours=$library
    for exchange in threshold dense updates; do
        library=$other
        check "$exchange with the other library" trains_as 2 0 "$place/other-$exchange" --epochs 2 --exchange $exchange
        library=$ours
        check 'gives the same bits' same_ranks "$place/other-$exchange" "$place/$exchange"
    done
else
    skip "the other library: no $other"
fi

# ---- hosts with other kernels: rank 1 is held to what SL_ISA says ----
kernels=
# shellcheck disable=SC2086 # a list of words
mixed() {
    rm -rf "$place/mixed-$1-$2"
    check "rank 1 with SL_ISA=$1, $2" launches 0 -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/mixed-$1-$2" \
        --model "$network" --threads 1 --batch-size 3 --epochs 2 --exchange "$2" --hash-every 1 $kernels : \
        -np 1 env SL_ISA="$1" "$bin/train_tinyimagenet" --data "$data" --run "$place/mixed-$1-$2" \
        --model "$network" --threads 1 --batch-size 3 --epochs 2 --exchange "$2" --hash-every 1 $kernels
    check 'goes to its end' test "$(cat "$place/mixed-$1-$2/last-good")" = ckpt-16
}
mixed ref threshold # the updater is each rank's own affair
if grep -q avx2 /proc/cpuinfo; then
    mixed avx2 threshold
    mixed avx2 dense
    mixed avx2 updates
    grep -q avx512f /proc/cpuinfo || skip 'AVX2 beside AVX-512: no AVX-512 here'
fi

# ---- kernels as rank 0 measured them ----
export SL_CACHE_DIR="$place/cache"
for exchange in dense threshold; do
    check "--kernels fastest, $exchange" trains_as 2 0 "$place/fastest-$exchange" --epochs 2 --exchange $exchange --hash-every 1 --kernels fastest
    check 'goes to its end' test "$(cat "$place/fastest-$exchange/last-good")" = ckpt-16
done
rm -rf "$SL_CACHE_DIR"
check 'resumed without the cache' trains_as 2 0 "$place/fastest-dense" --epochs 3 --exchange dense --hash-every 1 --resume
check 'nothing is measured again' not says '^measuring'
kernels='--kernels fastest'
if grep -q avx512f /proc/cpuinfo; then
    mixed avx2 dense
    check 'both take what both have' once 'fastest: all ranks take kernels of the instruction sets that each has: avx2$'
fi
kernels=
check '--kernels fastest, evaluating with 2 ranks' launches 0 -np 2 "$bin/starling-evaluate" --data "$data" \
    --model "$place/fastest-dense" --batch-size 3 --threads 1 --kernels fastest
unset SL_CACHE_DIR

# ---- other numbers of ranks ----
check 'a thousand steps, compared after each' trains_as 2 0 "$place/long" --epochs 125 --eval-every 0 --hash-every 1 --quiet
check 'were a thousand' test "$(cat "$place/long/last-good")" = ckpt-1000
for exchange in threshold dense; do
    check "3 ranks that share 16 batches unequally, $exchange" trains_as 3 0 "$place/uneven-$exchange" --epochs 2 --exchange $exchange --hash-every 1
    step_records "$place/uneven-$exchange"
    check 'the last step has what is left' test "$(values samples | tr '\n' ' ')" = '9 9 9 9 9 3 9 9 9 9 9 3 '
    check "more ranks than batches, $exchange" trains_as 4 0 "$place/idle-$exchange" --epochs 2 --batch-size 20 --exchange $exchange --hash-every 1
    check 'is said' once '^warning: an epoch has 3 batches of 20: 1 ranks never see an image; lower --batch-size$'
    check 'and all images are seen' test "$(grep -c '"samples":48' "$place/idle-$exchange/log.jsonl")" -ge 2
done
check 'one process and threshold' trains 0 "$place/alone" --epochs 2 --exchange threshold
check 'sends nothing' not grep -Eq '"bytes_sent":[1-9]' "$place/alone/log.jsonl"
check 'one rank of a launcher' trains_as 1 0 "$place/one" --epochs 2 --batch-size 5 --exchange threshold
check 'has the same bits' same_ranks "$place/one" "$place/alone"
check 'one rank without an exchange' trains_as 1 0 "$place/plain-one" --epochs 2 --batch-size 5
check 'as alone' trains 0 "$place/plain" --epochs 2
check 'has the bits of a process without a launcher' same_run "$place/plain-one" "$place/plain"

# ---- options ----
check '--combine sum' trains_as 2 0 "$place/sum" --epochs 2 --combine sum --hash-every 1
check 'is said' once 'exchange: threshold, sum;'
check 'and learns something else' not same_ranks "$place/sum" "$place/threshold" >/dev/null
check '--scale-lr' trains_as 2 0 "$place/scaled" --epochs 1 --scale-lr
check 'is said' once 'learning rate times the number of ranks'
step_records "$place/scaled"
check 'doubles it' test "$(values learning_rate | sort -u)" = 0.016
check '--flush-residual' trains_as 2 0 "$place/flushed" --epochs 2 --flush-residual --hash-every 1
check 'gives another model' not cmp -s "$(newest "$place/flushed")/model.safetensors" "$(newest "$place/threshold")/model.safetensors"
for algorithm in target-sparsity fixed; do
    check "--threshold-algorithm $algorithm" trains_as 2 0 "$place/$algorithm" --epochs 1 --threshold-algorithm $algorithm --density-cap 1 --clip 0
done
step_records "$place/fixed"
check 'fixed is fixed' test "$(values tau | sort -u | wc -l)" -eq 1
check '--dry-run' trains_as 2 0 "$place/dry" --dry-run
check 'prints the plan once' test "$(grep -c 'softmax_nll' "$place/out")" -eq "$(trains 0 "$place/dry" --dry-run --batch-size 3 && grep -c 'softmax_nll' "$place/out")"
check 'and makes no folder' not test -e "$place/dry"

# ---- evaluation and prediction ----
model=$place/threshold
ends 0 'evaluating alone' starling-evaluate --data "$data" --model "$model" --batch-size 3 --threads 1 --confusion "$place/alone.csv"
cp "$place/out" "$place/alone.txt"
ends 0 'as JSON' starling-evaluate --data "$data" --model "$model" --batch-size 3 --threads 1 --json
cp "$place/out" "$place/alone.json"
for ranks in 1 2 3 7; do
    check "evaluating with $ranks ranks" launches 0 -np $ranks "$bin/starling-evaluate" --data "$data" --model "$model" --batch-size 3 \
        --threads 1 --confusion "$place/ranks.csv"
    check 'the same report' cmp "$place/out" "$place/alone.txt"
    check 'the same matrix' cmp "$place/ranks.csv" "$place/alone.csv"
    check 'the speed once' once 'images/s$'
    check "as JSON" launches 0 -np $ranks "$bin/starling-evaluate" --data "$data" --model "$model" --batch-size 3 --threads 1 --json
    check 'the same' cmp "$place/out" "$place/alone.json"
done
ends 0 'predicting with what ranks trained' starling-predict --data "$data" --model "$model" --top 1
check 'all images' lines 21 "$place/out"
finish
