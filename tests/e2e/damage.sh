#!/bin/sh
# Damaged files: every few bytes flipped, one at a time, and cut off at every few lengths. Never a crash, never accepted, the message names
# the file, and what was good stays good.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
run=$place/run
check 'a run to damage' trains 0 "$run" --epochs 3 --seed 7
last=$run/ckpt-30
cp -R "$run" "$place/good-run"
cp -R "$data" "$place/good-data"

# refused NAME PROGRAM ARGUMENT...: exit 65, NAME in the message, nothing on stdout.
refused() {
    name=$1
    shift
    quietly 65 "$@" && grep -qF "$name" "$place/err" && silent
}

# sweep FILE FLIPS CUTS PROGRAM ARGUMENT...: damages FILE in so many ways; each must be refused. Restores it from FILE.good.
sweep() {
    damaged=$1 flips=$2 cuts=$3
    shift 3
    name=$(basename "$damaged")
    cp "$damaged" "$damaged.good"
    size=$(bytes "$damaged")
    worst=
    i=0
    while [ $i -lt "$flips" ]; do
        at=$((i * (size - 1) / (flips - 1)))
        flip "$damaged" $at
        refused "$name" "$@" || { worst="byte $at"; cp "$place/err" "$place/worst"; }
        cp "$damaged.good" "$damaged"
        i=$((i + 1))
    done
    i=0
    while [ $i -lt "$cuts" ]; do
        at=$((i * (size - 1) / (cuts - 1)))
        head -c $at "$damaged.good" >"$damaged"
        refused "$name" "$@" || { worst="cut to $at bytes"; cp "$place/err" "$place/worst"; }
        i=$((i + 1))
    done
    { cat "$damaged.good" && echo x; } >"$damaged"
    refused "$name" "$@" || { worst='a byte more'; cp "$place/err" "$place/worst"; }
    mv "$damaged.good" "$damaged"
    [ -z "$worst" ] || cp "$place/worst" "$place/err"
    check "$1 refuses $name: $flips flipped bytes, $cuts cuts, a line more${worst:+; not: $worst}" test -z "$worst"
}

# ---- data ----
sweep "$data/dataset.json" 40 12 train_tinyimagenet --data "$data" --run "$place/dry" --model "$here/tiny.json" --dry-run
for shard in "$data"/*.tar; do
    sweep "$shard" 8 4 train_tinyimagenet --data "$data" --run "$place/dry" --model "$here/tiny.json" --dry-run
    break
done
sweep "$data/dataset.json" 12 4 starling-predict --data "$data" --model "$run" --output "$place/none"
check 'nothing was written' not test -e "$place/none"
for shard in "$data"/*val*.tar; do
    sweep "$shard" 8 4 starling-evaluate --data "$data" --model "$run"
    mv "$shard" "$place/away"
    refuses '65|66' "$(basename "$shard")" 'a missing shard is named' starling-evaluate --data "$data" --model "$run"
    mv "$place/away" "$shard"
done
check 'the data are as they were' diff -r "$data" "$place/good-data"

# ---- models ----
cp "$last/model.safetensors" "$place/model.safetensors"
sweep "$place/model.safetensors" 60 20 starling-predict --model "$place/model.safetensors" --data "$data" --output "$place/none"
for file in manifest.json model.safetensors updater.safetensors rank-0000.safetensors; do
    sweep "$last/$file" 24 8 starling-evaluate --model "$last" --data "$data"
done
check 'the run is as it was' diff -r "$run" "$place/good-run"

# ---- resuming past a damaged checkpoint ----
check 'an unbroken run' trains 0 "$place/unbroken" --epochs 4 --seed 7
for file in manifest.json model.safetensors updater.safetensors rank-0000.safetensors; do
    for way in flipped cut removed; do
        rm -rf "$run"
        cp -R "$place/good-run" "$run"
        case $way in
        flipped) flip "$last/$file" $(($(bytes "$last/$file") / 2)) ;;
        cut) head -c 100 "$place/good-run/ckpt-30/$file" >"$last/$file" ;;
        removed) rm "$last/$file" ;;
        esac
        check "$file $way: resumed" trains 0 "$run" --epochs 4 --seed 7 --resume
        check "$file $way: refused by name" says "checkpoint ckpt-30 refused: .*$file"
        check "$file $way: went on from the one before" says 'resumed from .*ckpt-20: epoch 2, batch 0'
        check "$file $way: the bits of the unbroken run" same_run "$run" "$place/unbroken"
    done
done
rm -rf "$run"
cp -R "$place/good-run" "$run"
flip "$last/model.safetensors" 3000
ends 0 'evaluating a run with a damaged newest checkpoint' starling-evaluate --data "$data" --model "$run"
check 'says which one it refused' says 'checkpoint ckpt-30 refused: .*model.safetensors'
for checkpoint in "$run/ckpt-10" "$run/ckpt-20"; do flip "$checkpoint/model.safetensors" 3000; done
check 'all damaged: training refuses to resume' trains 65 "$run" --epochs 4 --seed 7 --resume
check 'and says so' says 'none of the 3 checkpoints is whole'
check 'without --resume it is still a run' trains 73 "$run" --epochs 4 --seed 7
refuses 65 'none of the 3 checkpoints is whole' 'all damaged: evaluating' starling-evaluate --data "$data" --model "$run"
refuses 65 'none of the 3 checkpoints is whole' 'all damaged: predicting' starling-predict --data "$data" --model "$run"
check 'nothing was removed' test "$(find "$run" -name 'ckpt-*' | wc -l)" -eq 3
echo nonsense >"$place/good-run/last-good"
check 'a last-good that lies does not matter' trains 0 "$place/good-run" --epochs 4 --seed 7 --resume
check 'the bits of the unbroken run' same_run "$place/good-run" "$place/unbroken"

# A shard that is cut short while training reads it, image by image: too many to be kept in so little memory.
check 'more images' quietly 0 starling-sample --output "$place/more" --classes 4 --per-class 200 --val-per-class 2 --size 16
check 'their shard' quietly 0 starling-prepare --input "$place/more" --output "$place/live" --image-size 16
cut=$place/cut
"$bin/train_tinyimagenet" --data "$place/live" --run "$cut" --model "$here/tiny.json" --batch-size 5 --threads 1 \
    --epochs 1000 --checkpoint-every 20 --memory-limit 900K >"$place/out" 2>"$place/err" &
pid=$!
while kill -0 $pid 2>/dev/null && [ ! -s "$cut/last-good" ]; do sleep 0.01; done
: >"$place/live/train-000000.tar"
status=0
wait $pid || status=$?
check 'a shard cut short in use: exit 74' test "$status" -eq 74
check 'says what happened' says 'cut short'
check 'its checkpoint is whole' quietly 0 starling-predict --model "$cut" "$place/more/val/images/val_0.JPEG"
finish
