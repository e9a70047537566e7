#!/bin/sh
# What cannot work: missing data, places that cannot be written, checkpoints and models that do not fit, limits, numbers that overflow.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
run=$place/run
check 'a run' trains 0 "$run" --epochs 2 --seed 7
image=$(find "$place/images/val" -name '*.JPEG' | sort | head -n 1)
echo text >"$place/file"

# ---- missing ----
for program in train_tinyimagenet starling-evaluate starling-predict; do
    case $program in
    train_tinyimagenet) set -- --run "$place/none" --model "$here/tiny.json" ;;
    *) set -- --model "$run" ;;
    esac
    refuses 66 "$place/absent: holds no prepared data set .*starling-prepare" "$program: no such data set" "$program" --data "$place/absent" "$@"
    refuses 66 "$place/file: holds no prepared data set" "$program: the data set is a file" "$program" --data "$place/file" "$@"
    refuses 66 "$place/images: holds no prepared data set" "$program: the data set is not prepared" "$program" --data "$place/images" "$@"
done
for program in starling-evaluate starling-predict; do
    refuses 66 "$place/absent: .*No such file" "$program: no such model" "$program" --data "$data" --model "$place/absent"
    refuses 66 "$place: there is no checkpoint" "$program: a model folder that is none" "$program" --data "$data" --model "$place"
    refuses 65 "$place/file" "$program: a model file that is none" "$program" --data "$data" --model "$place/file"
    ends 66 "$program: no such split" "$program" --data "$data" --model "$run" --split test
    check 'the message names it' says 'no images for test'
done
refuses 66 'absent.json: .*No such file' 'no such network file' train_tinyimagenet --data "$data" --run "$place/none" --model absent.json
refuses 64 'no model "lenet".*one of' 'no such network' train_tinyimagenet --data "$data" --run "$place/none" --model lenet
refuses 66 "$place/absent" 'starling-prepare: no such input' starling-prepare --input "$place/absent" --output "$place/none"
ends 66 'starling-predict: no such list' starling-predict --model "$run" --list "$place/absent"

# Files of other programs in place of a model. The first bytes are what is told apart.
number=0
for foreign in 'PK\003\004\024\000\000\000\000\000=a ZIP archive .PyTorch' '\211HDF\r\n\032\n\000\000=an HDF5 file .Keras' 'GGUF\003\000\000\000\000=a GGUF file' \
    '\200\002}q\000X\007\000\000\000=a Python pickle' '\010\007\022\007pytorch\032=an ONNX model' '\034\000\000\000TFL3\000\000=a TensorFlow Lite model' \
    '\223NUMPY\001\000v\000=a NumPy array' '\377\330\377\340\000\020JFIF=a JPEG image' '\211PNG\r\n\032\n\000\000=a PNG image' \
    'version https://git-lfs.github.com/spec/v1=a pointer of Git LFS' '# A network\n\nlayers: 3=text' '<!DOCTYPE html>=a web page'; do
    number=$((number + 1))
    # shellcheck disable=SC2059 # the bytes are a format
    printf "${foreign%=*}" >"$place/foreign$number"
    refuses 65 "$place/foreign$number: ${foreign##*=}.*, not a safetensors file such as the model.safetensors of a run" \
        "a model that is ${foreign##*=}" starling-predict --model "$place/foreign$number" "$image"
done
head -c 4096 /dev/urandom >"$place/noise"
refuses 65 "$place/noise: " 'a model of noise' starling-evaluate --data "$data" --model "$place/noise"

# ---- images ----
ends 66 'a missing image' starling-predict --model "$run" "$image" "$place/absent.JPEG"
check 'is named' says "$place/absent.JPEG: .*No such file"
head -c $(($(bytes "$image") * 2 / 3)) "$image" >"$place/cut.JPEG"
printf '\211PNG\r\n\032\n\0\0\0\rIHDR' >"$place/png.JPEG"
: >"$place/zero.JPEG"
mkdir "$place/folder.JPEG"
for bad in cut png zero; do
    ends 65 "an unreadable image: $bad" starling-predict --model "$run" "$image" "$place/$bad.JPEG"
    check 'is named' says "$place/$bad.JPEG: "
done
ends '65|66|74' 'a folder in place of an image' starling-predict --model "$run" "$place/folder.JPEG"
check 'is named' says "$place/folder.JPEG"
ends 0 'unreadable images, left out' starling-predict --model "$run" --on-bad-image skip --top 1 --batch-size 2 \
    "$place/cut.JPEG" "$image" "$place/png.JPEG" "$place/absent.JPEG" "$place/zero.JPEG" "$image"
check 'the good ones are predicted' lines 3 "$place/out"
for bad in cut png absent zero; do check "the message names $bad" says "skipped $place/$bad.JPEG: "; done
check 'they are counted' says '^4 unreadable images left out'
ends 65 'a failing prediction with --output' starling-predict --model "$run" --output "$place/part" "$image" "$place/cut.JPEG"
check 'leaves no part of a file' test -z "$(find "$place" -maxdepth 1 -name 'part*')"

# ---- places ----
for where in "$place/file" "$place/file/run" /proc/run /dev/null /dev/null/run; do
    check "the run folder $where is refused" trains 73 "$where"
    check 'by name' says "$(echo "$where" | cut -d / -f 1-3)"
    check 'with nothing on stdout' silent
done
check 'the file is as it was' grep -qx text "$place/file"
for where in /dev/full /proc/predictions "$place/folder.JPEG" "$place/absent/predictions"; do
    refuses 73 "$where" "--output $where is refused" starling-predict --model "$run" --output "$where" "$image"
    ends 73 "--confusion $where is refused" starling-evaluate --data "$data" --model "$run" --confusion "$where"
    check 'by name' says "$where"
done
for command in "starling-predict --model $run $image" "starling-evaluate --data $data --model $run" \
    "train_tinyimagenet --data $data --model $here/tiny.json --run $place/full --epochs 1 --batch-size 5" 'starling-doctor'; do
    status=0
    # shellcheck disable=SC2086 # a list of words
    "$bin/"$command >/dev/full 2>"$place/err" || status=$?
    check "${command%% *}: stdout is full (exit 74)" test $status -eq 74
    check 'and says so' says 'cannot write|could not be written'
done
check 'the run itself is saved' test "$(cat "$place/full/last-good")" = ckpt-10

# A full disk. Checkpoints that cannot be written are warned of; the last one decides.
mkdir "$place/disk"
if mount -t tmpfs -o size=68k tmpfs "$place/disk" 2>/dev/null; then
    trap 'umount "$place/disk"; rm -rf "$place"' EXIT
    check 'a disk with room for one checkpoint: training fails at its end' trains '73|74' "$place/disk/run" --epochs 2 --seed 7
    check 'the message names file and reason' says 'train_tinyimagenet: .*ckpt-20.*No space left'
    check 'there was a warning when it happened' says 'warning: no checkpoint: .*No space left'
    check 'the first checkpoint is there' test "$(cat "$place/disk/run/last-good")" = ckpt-10
    check 'and nothing of the second' test -z "$(find "$place/disk" -name 'ckpt-20*')"
    mount -o remount,size=1m "$place/disk"
    check 'with room again it resumes' trains 0 "$place/disk/run" --epochs 2 --seed 7 --resume
    check 'from the first' says 'resumed from .*ckpt-10: epoch 1, batch 0'
    check 'the bits of the unbroken run' same_run "$place/disk/run" "$run"
    check 'a run that keeps all of its checkpoints' trains 0 "$place/disk/run" --epochs 6 --seed 7 --resume --keep 9
    head -c 2000000 /dev/zero >"$place/disk/fill" 2>/dev/null
    check 'on a full disk a smaller --keep makes room' trains 0 "$place/disk/run" --epochs 8 --seed 7 --resume --keep 2
    check 'nothing is lost' test "$(cat "$place/disk/run/last-good")" = ckpt-80
    check 'an unbroken run' trains 0 "$place/unfilled" --epochs 8 --seed 7
    check 'the bits of the unbroken run' same_run "$place/disk/run" "$place/unfilled"
else
    skip 'a full disk: mounting a tmpfs is not permitted here'
fi
# The same by a limit on the size of files, which needs no mount: 8 blocks of 512 bytes are too few for a model.
limited() (ulimit -f 8 && trains '73|74' "$place/small" --epochs 1)
check 'files may not grow: exit 73 or 74' limited
check 'the message names the file' says 'model.safetensors'
check 'nothing is left that looks like a checkpoint' test -z "$(find "$place/small" -name 'ckpt-*')"

# Output through a link: the old content survives, and the link stays one.
echo old >"$place/linked"
ln -s linked "$place/link"
no_room() (ulimit -f 0 && quietly '73|74' starling-predict --model "$run" --output "$place/link" "$image")
check 'no room for --output LINK: exit 73 or 74' no_room
check 'what it leads to is as it was' grep -qx old "$place/linked"
ends 0 '--output LINK' starling-predict --model "$run" --output "$place/link" "$image"
check 'is written where the link leads' lines 2 "$place/linked"
check 'the link is a link' test -L "$place/link"

# ---- checkpoints and models that do not fit ----
sed 's/"filters": 12/"filters": 13/' "$here/tiny.json" >"$place/wider.json"
sed 's/"rate": 0.2/"rate": 0.3/' "$here/tiny.json" >"$place/drier.json"
check 'resuming with another network' trains 78 "$run" --epochs 3 --seed 7 --resume --model "$place/wider.json"
check 'says which is which' says 'network "tiny" \([0-9]+ parameters\) is not this run'
check 'resuming with another dropout' trains 78 "$run" --epochs 3 --seed 7 --resume --model "$place/drier.json"
for change in '--batch-size 6' '--weight-decay 0.5' '--optimizer sgd' '--flip' '--crop-padding 1' '--pixels standardised'; do
    # shellcheck disable=SC2086 # a list of words
    check "resuming with $change" trains 78 "$run" --epochs 3 --seed 7 --resume $change
    check 'says what differs' says 'it has .* and this run .*; resume with the same'
done
check 'resuming with another seed' trains 78 "$run" --epochs 3 --seed 8 --resume
check 'says what differs' says 'it has seed 7 and this run 8'
check 'the run is as it was' test "$(cat "$run/last-good")" = ckpt-20

quietly 0 starling-sample --output "$place/images3" --classes 3 --per-class 4 --val-per-class 2 --size 16
quietly 0 starling-prepare --input "$place/images3" --output "$place/data3" --image-size 16
quietly 0 starling-prepare --input "$place/images" --output "$place/data20" --image-size 20
refuses 78 'the model has 4 classes and the data set 3' 'evaluating on other classes' starling-evaluate --data "$place/data3" --model "$run"
refuses 78 'images of 16 pixels a side, the data set holds 20' 'evaluating on another size' starling-evaluate --data "$place/data20" --model "$run"
refuses 78 '4 classes, the data set 3' 'training a network of other classes' train_tinyimagenet --data "$place/data3" \
    --run "$place/none" --model "$here/tiny.json"
refuses 78 '16 x 16 x 3, the data set.s images are 20' 'training a network of another size' train_tinyimagenet --data "$place/data20" \
    --run "$place/none" --model "$here/tiny.json"
number=0
for broken in '{' '[]' '{"name": "x"}' '{"name": "x", "name": "y"}' \
    '{"name": "x", "input": {"height": 16, "width": 16, "channels": 3}, "layers": [{"name": "a", "type": "conv3d"}]}' \
    '{"name": "x", "input": {"height": 16, "width": 16, "channels": 3}, "layers": [{"name": "a", "type": "conv2d", "filter": 4}]}' \
    '{"name": "x", "input": {"height": 16, "width": 16, "channels": 3}, "layers": [{"name": "a", "type": "conv2d", "filters": 1e400}]}' \
    '{"name": "x", "input": {"height": 16, "width": 16, "channels": 3}, "layers": []}'; do
    number=$((number + 1))
    echo "$broken" >"$place/broken$number.json"
    refuses 78 "$place/broken$number.json: " "a network file that is wrong: $broken" train_tinyimagenet --data "$data" --run "$place/none" \
        --model "$place/broken$number.json"
done
head -c 100000 /dev/zero | tr '\0' '[' >"$place/deep.json"
refuses 78 "$place/deep.json: " 'a network file of 100,000 brackets' train_tinyimagenet --data "$data" --run "$place/none" --model "$place/deep.json"

# ---- limits, backends, numbers ----
refuses 69 'memory' 'a memory limit that is too small' train_tinyimagenet --data "$data" --run "$place/limit" --memory-limit 1M
check 'lists who wants what' says \
    'needs [0-9.]+ MB of memory and the limit is 1\.0 MB: weights [0-9.]+, training [0-9.]+ \(largest: conv[0-9] [a-z ]+ [0-9.]+ MB, '
check 'and the rest' says '\), validation [0-9.]+, scratch of [0-9]+ threads [0-9.]+, loading [0-9.]+, compressed shards 0\.0; raise --memory-limit'
refuses 69 'compressed shards 0\.0, exchange [1-9][0-9]*\.[0-9]; raise' 'what an exchange takes counts as well' train_tinyimagenet \
    --data "$data" --run "$place/limit" --memory-limit 1M --exchange threshold
# Counted before anything is read or allocated: the shards are not even there, and 4,096 images a step would take 2 GB.
cp -r "$data" "$place/no-shards"
rm "$place/no-shards"/*.tar
refuses 69 'the limit is 1073\.7 MB' 'a limit far below what is wanted' train_tinyimagenet --data "$place/no-shards" \
    --run "$place/limit2" --batch-size 4096 --memory-limit 1GB
refuses 66 'no-shards/train-000000.tar' 'the same data set within the limit' train_tinyimagenet --data "$place/no-shards" --run "$place/limit2" \
    --model "$here/tiny.json" --memory-limit 2GB
refuses 69 'this model needs [0-9.]+ MB of memory and the limit is 0\.1 MB: weights 0\.0, buffers [0-9.]+ \(largest: [a-z0-9]+ ' \
    'a memory limit of evaluate that is too small' starling-evaluate --data "$data" --model "$run" --memory-limit 100K
ends 0 'one that is enough' starling-evaluate --data "$data" --model "$run" --memory-limit 100M
for padding in 16 17 1024; do
    refuses 78 "crop padding of $padding pixels; it must be less than the 16 of an image" "a crop padding of $padding, images of 16 pixels" \
        train_tinyimagenet --data "$data" --run "$place/crop" --model "$here/tiny.json" --crop-padding $padding
done
check 'a crop padding of 15' trains 0 "$place/crop" --crop-padding 15 --max-steps 1
for option in min-density max-density target-density threshold-decay; do
    refuses 78 "--$option is nan; it has to be a finite number" "--$option of NaN, of no use" train_tinyimagenet --data "$data" --run "$place/none" \
        --threshold-algorithm fixed --$option nan
done
sgd='--optimizer sgd --momentum 0.5'
# shellcheck disable=SC2086 # lists of words
{
    check 'a run before its numbers overflow' trains 0 "$place/overflow" --max-steps 3 $sgd --lr 0.01
    check 'resuming with another momentum' trains 78 "$place/overflow" --resume --optimizer sgd --lr 0.01
    check 'numbers that overflow' trains 79 "$place/overflow" --resume $sgd --lr 1000000
    check 'say at which step, and what to do' says 'train_tinyimagenet: [a-z ]+ is not finite at iteration [0-9]+; lower the learning rate'
    check 'numbers that overflow, some steps left out' trains 79 "$place/overflow" --resume $sgd --lr 1000000 --max-skips 2
    check 'each is told' says 'warning: step skipped: .* is not finite at iteration 5; '
    check 'and how many there were' says '3 steps in a row: .* is not finite at iteration [0-9]+; lower'
    ends 0 'the last checkpoint evaluates' starling-evaluate --data "$data" --model "$place/overflow"
    check 'to a finite loss' prints '^Mean loss +[0-9]'
    check 'and training goes on from there' trains 0 "$place/overflow" --resume $sgd --lr 0.0001 --epochs 1
}
finish
