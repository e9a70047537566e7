#!/bin/sh
# Training and inference of the default network, ours and PyTorch's in turns on the same threads; prints the ratios.
#   bench/compare_pytorch.sh [--data DIR] [--bin DIR] [--threads N] [--batch-size 32] [--steps 40] [--rounds 3]
# Without --data a sample set of 200 classes is made in a temporary folder. PYTHON names an interpreter that has torch.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
data='' bin=$here/../build/bin threads=$(nproc) batch=32 steps=40 rounds=3

die() { printf 'compare_pytorch: %s\n' "$*" >&2; exit 64; }
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "$1: unknown, or its value is missing"
    case $1 in
    --data) data=$2 ;;
    --bin) bin=$2 ;;
    --threads) threads=$2 ;;
    --batch-size) batch=$2 ;;
    --steps) steps=$2 ;;
    --rounds) rounds=$2 ;;
    *) die "$1: unknown option" ;;
    esac
    shift 2
done

python=
for candidate in ${PYTHON:-} python3 /usr/bin/python3; do
    if "$candidate" -c 'import torch' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || die "no Python with torch; install python3-torch or set PYTHON"
[ -x "$bin/train_tinyimagenet" ] || die "no programs in $bin; run ./dev build or give --bin"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
if [ -z "$data" ]; then
    "$bin/starling-sample" --output "$place/sample" --classes 200 --per-class 20 >&2
    "$bin/starling-prepare" --input "$place/sample" --output "$place/data" >&2
    data=$place/data
fi

# The last "images/s RATE", "RATE images/s" or the same in samples/s or samples/sec that a program printed.
rate() {
    sed -E 's/.*(images|samples)\/s(ec)?[:=]? *([0-9]+\.?[0-9]*).*/RATE \3/; s/^(.*[^0-9.])?([0-9]+\.?[0-9]*) *(images|samples)\/s.*/RATE \2/' "$1" |
        awk '$1 == "RATE" { last = $2 } END { if (last == "") exit 1; print last }' ||
        { cat "$1" >&2; die "no rate in the output above"; }
}

# once NAME COMMAND...: runs, remembers and shows the rate
once() {
    name=$1
    shift
    "$@" >"$place/out" 2>&1 || { cat "$place/out" >&2; die "$1 failed"; }
    rate "$place/out" >"$place/rate"
    cat "$place/rate" >>"$place/$name"
    printf '%-16s %8s images/s\n' "$name" "$(cat "$place/rate")"
}

median() { sort -n "$place/$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

round=0
while [ "$round" -lt "$rounds" ]; do
    round=$((round + 1))
    rm -rf "$place/run"
    once train_ours "$bin/train_tinyimagenet" --data "$data" --run "$place/run" --threads "$threads" \
        --batch-size "$batch" --max-steps "$steps" --log-every $(((steps + 1) / 2))
    once train_pytorch "$python" "$here/pytorch_peer.py" train --threads "$threads" --batch-size "$batch" --steps "$steps"
    once infer_ours "$bin/starling-evaluate" --data "$data" --model "$place/run" --threads "$threads" --batch-size "$batch"
    once infer_pytorch "$python" "$here/pytorch_peer.py" infer --threads "$threads" --batch-size "$batch" --steps "$steps"
done
for what in train infer; do
    awk -v what=$what -v ours="$(median ${what}_ours)" -v theirs="$(median ${what}_pytorch)" -v threads="$threads" \
        'BEGIN { printf "%s, %d threads: ours %.1f, PyTorch %.1f images/s, ratio %.2f\n", what, threads, ours, theirs, ours / theirs }'
done
