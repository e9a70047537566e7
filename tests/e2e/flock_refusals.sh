#!/bin/sh
# What ranks refuse, before the first step: options that mean nothing, ranks that were started differently, data, checkpoints
# and folders of others. Each is told once, with the key and the rank.
# shellcheck disable=SC2317,SC2154 # functions that check calls; what lib.sh and ranks.sh give
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/ranks.sh
. "$here/ranks.sh"
make_data

# ---- options: one process can tell ----
# refused STATUS PATTERN OPTION...: and nothing is written.
refused() {
    expected=$1 pattern=$2
    shift 2
    check "$*: refused with $expected" trains "$expected" "$place/refused" --max-steps 1 "$@"
    check 'says why' once "$pattern"
    check 'and nothing on stdout' silent
}
for tau in 0 -1 nan inf -inf 1e-300; do
    refused 78 "--threshold is $tau; it has to be a positive number" --threshold "$tau"
done
for cap in 0 -1 2 nan; do refused 78 "--density-cap is $cap; it has to be in \\(0, 1\\]" --density-cap $cap; done
for density in 0 2 nan; do refused 78 "--min-density is $density; it has to be in \\(0, 1\\]" --min-density $density; done
refused 78 '--max-density is 1e-05; it has to be in \[--min-density, 1\]' --max-density 1e-5
refused 78 '--target-density is 0.5; it has to be in \(0, 1/16\)' --threshold-algorithm target-sparsity --target-density 0.5
refused 78 '--threshold-decay is 1; it has to be in \[0.5, 1\)' --threshold-decay 1
refused 78 '--clip is 0.5: ' --clip 0.5
refused 64 '--clip nan: must be a number' --clip nan
refused 64 '--step-limit 0: must be a number' --step-limit 0
refused 64 '--exchange gossip: must be one of' --exchange gossip
for exchange in none threshold; do
    tau=0.001
    [ $exchange = none ] || tau=0
    check "2 ranks, --exchange $exchange, --threshold $tau: 78" trains_as 2 78 "$place/refused" --exchange $exchange --threshold $tau
    check 'told once' once '^train_tinyimagenet: rank 0 on [^ ]+: (--exchange none: 2 ranks would train 2 models|--threshold is 0)'
    check 'and nothing on stdout' silent
done
check 'none of them made a folder' not test -e "$place/refused"

# ---- ranks that were started differently ----
# disagree PATTERN "OPTIONS OF RANK 0" "OPTIONS OF RANK 1": refused with 76 by both, and told once.
disagree() {
    rm -rf "$place/split"
    # shellcheck disable=SC2086 # lists of words
    check "${2:-(defaults)} beside ${3:-(defaults)}: 76" launches 76 \
        -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/split" --model "$network" --threads 1 --max-steps 1 $2 : \
        -np 1 "$bin/train_tinyimagenet" --data "${other_data:-$data}" --run "$place/split" --model "${other_network:-$network}" \
        --threads 1 --max-steps 1 $3
    check 'names the key and the rank, once' once "^train_tinyimagenet: $1"
    check 'before the first step' not grep -q '"event":"step"' "$place/split/log.jsonl"
}
disagree 'seed is 1 on rank 0 \([^)]+\) and 2 on rank 1 \([^)]+\)' '--seed 1' '--seed 2'
disagree 'batch-size is 3 on rank 0 .* and 4 on rank 1' '--batch-size 3' '--batch-size 4'
disagree 'steps is epochs 10, .* and epochs 9, .* on rank 1' '' '--epochs 9'
disagree 'steps is .*max-skips 10.* and .*max-skips 0.* on rank 1' '' '--max-skips 0'
disagree 'steps is .*flush 0.* and .*flush 1.* on rank 1' '' '--flush-residual'
disagree 'rank 0 on [^ ]+: --kernels is fastest on rank 0 \([^)]+\) and shipped on rank 1 \([^)]+\)' '--kernels fastest' ''
disagree 'learning-rate is ' '' '--lr 0.5'
disagree 'learning-rate is ' '--scale-lr' ''
disagree 'optimizer is amsgrad on rank 0 .* and adam on rank 1' '' '--optimizer adam'
disagree 'weight-decay is ' '' '--weight-decay 0.5'
disagree 'augmentation is ' '--flip' ''
disagree 'precision is bf16 on rank 0 .* and fp32 on rank 1' '--precision bf16' ''
disagree 'threshold is adaptive 0.001, .* and adaptive 0.002, .* on rank 1' '' '--threshold 0.002'
disagree 'threshold is .* cap 0.0035.* and .* cap 0.1' '' '--density-cap 0.1'
disagree 'threshold is .* clip 5 .* and .* clip 7' '' '--clip 7'
disagree 'exchange is threshold, mean on rank 0 .* and dense on rank 1' '--exchange threshold' '--exchange dense'
disagree 'exchange is threshold, mean on rank 0 .* and threshold, sum on rank 1' '' '--combine sum'
sed 's/"rate": 0.2/"rate": 0.3/' "$network" >"$place/other.json"
other_network=$place/other.json
disagree 'network is tiny \([0-9a-f]+\) on rank 0 .* and tiny \([0-9a-f]+\) on rank 1' '' ''
other_network=
ends 0 'other images' starling-sample --output "$place/others" --classes 4 --per-class 12 --val-per-class 5 --size 16 --seed 2
ends 0 'prepared' starling-prepare --input "$place/others" --output "$place/other-data" --image-size 16 --images-per-file 20
other_data=$place/other-data
disagree 'data-set is [0-9a-f]{16} on rank 0 .* and [0-9a-f]{16} on rank 1' '' ''
other_data=
# A program of another version: the text is in the binary.
version=$("$bin/train_tinyimagenet" --version | sed 's/.* //')
sed "s/$version\\x00/0.0.9\\x00/g" "$bin/train_tinyimagenet" >"$place/older"
if [ ${#version} -ne 5 ] || cmp -s "$bin/train_tinyimagenet" "$place/older"; then
    skip "another version: cannot make one of $version"
else
    chmod +x "$place/older"
    cp "$bin/libstarling_wire_$library.so" "$place/"
    check 'another version: 76' launches 76 -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/versions" --model "$network" --max-steps 1 : \
        -np 1 "$place/older" --data "$data" --run "$place/versions" --model "$network" --max-steps 1
    check 'is named' once "^train_tinyimagenet: version is $version on rank 0 .* and 0.0.9 on rank 1"
fi
# Only one of them is wrong.
check 'one rank with --threshold 0: 78' launches 78 -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/one" --model "$network" --max-steps 1 : \
    -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/one" --model "$network" --max-steps 1 --threshold 0
check 'is told' says 'rank 1 on [^ ]+: --threshold is 0'
check 'one rank with --exchange none: 78' launches 78 -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/one" --model "$network" --max-steps 1 : \
    -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/one" --model "$network" --max-steps 1 --exchange none
check 'is told' says '--exchange none: 2 ranks would'
check 'one rank without data: 66' launches 66 -np 1 "$bin/train_tinyimagenet" --data "$data" --run "$place/one" --model "$network" --max-steps 1 : \
    -np 1 "$bin/train_tinyimagenet" --data "$place/nowhere" --run "$place/one" --model "$network" --max-steps 1
check 'is named' once 'rank 1 on [^ ]+: .*nowhere'
check 'one model' trains 0 "$place/eval-a" --max-steps 1
check 'another' trains 0 "$place/eval-b" --max-steps 1 --seed 2
check 'evaluating two models: 76' launches 76 -np 1 "$bin/starling-evaluate" --data "$data" --model "$place/eval-a" : \
    -np 1 "$bin/starling-evaluate" --data "$data" --model "$place/eval-b"
check 'is named' once '^starling-evaluate: model is [0-9a-f]{16} on rank 0 .* and [0-9a-f]{16} on rank 1'
check 'evaluating without a model: 66' launches 66 -np 2 "$bin/starling-evaluate" --data "$data" --model "$place/nowhere"
check 'is told once' once 'nowhere'

# ---- a run folder that is taken ----
begins_training 2 "$place/busy"
waits_for_steps 2
mv "$place/err" "$place/first.err"
: >"$place/err"
holder=$(rank 0)
check 'a second job in one folder: 73' trains_as 2 73 "$place/busy" --resume
check 'is told who is there' once "busy: in use by pid $holder on $(hostname)"
kill -USR1 "$pid"
check 'the first goes on until it is asked' soon 30
check 'and ends well' is_asked 75
check 'a folder with a run, without --resume: 73' trains_as 2 73 "$place/busy"
check 'is refused with advice, once' once 'already holds a run; add --resume'

# ---- checkpoints of another run ----
check 'a run' trains_as 2 0 "$place/run" --max-steps 6
cp -R "$place/run" "$place/run.before"
# differs PATTERN OPTION...: resuming with that is refused and names both values.
differs() {
    pattern=$1
    shift
    check "resuming with $*: 78" trains_as 2 78 "$place/run" --resume --max-steps 9 "$@"
    check 'names what differs, once' once "$pattern"
}
differs 'its network "tiny" .* is not this run' --model "$place/other.json"
differs 'it has exchange threshold, mean and this run dense' --exchange dense
differs 'it has exchange threshold, mean and this run threshold, sum' --combine sum
differs 'it has seed 1 and this run 2' --seed 2
differs 'it has batch-size 3 and this run 4' --batch-size 4
check 'resuming alone: 78' trains 78 "$place/run" --resume --max-steps 9 --batch-size 3
check 'names the exchange' says 'it has exchange threshold, mean and this run none'
rm -f "$place"/run*/log.jsonl "$place"/run*/lock
check 'the run is as it was' diff -r "$place/run" "$place/run.before"
check 'and goes on' trains_as 2 0 "$place/run" --resume --max-steps 9

# ---- shards that are damaged ----
cp -R "$data" "$place/damaged"
shard=$place/damaged/train-000001.tar
flip "$shard" 700
flip "$shard" $(($(bytes "$shard") / 2))
data=$place/damaged
check 'a damaged shard: 65' trains_as 2 '65|78' "$place/shard" --epochs 2
check 'is named, with the rank' says "rank [01] on [^ ]+: .*$(basename "$shard")"
data=$place/data
rm "$place/damaged/$(basename "$shard")"
data=$place/damaged
check 'a missing shard: 66' trains_as 2 '65|66' "$place/shard2" --epochs 2
check 'is named' says "$(basename "$shard")"
data=$place/data
finish
