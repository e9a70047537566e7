#!/bin/sh
# starling-sample and starling-prepare from end to end: results, messages and exit codes.
# usage: cli_data.sh FOLDER_OF_PROGRAMS
# shellcheck disable=SC2016 # conditions are texts that check() evaluates
set -u
bin=$1
root=$(mktemp -d) || exit 1
trap 'chmod -R u+w "$root"; rm -rf "$root"' EXIT
cd "$root" || exit 1
failures=0

# expect STATUS PART COMMAND...: the command ends with STATUS and says PART on stdout or stderr.
expect()
{
    status=$1 part=$2
    shift 2
    "$@" >out 2>err
    got=$?
    if [ "$got" != "$status" ] || ! cat out err | grep -qF -- "$part"; then
        echo "FAILED: $* -> $got instead of $status, or without '$part':"
        sed 's/^/    /' out err
        failures=$((failures + 1))
    fi
}

check()
{
    if ! eval "$1"; then
        echo "FAILED: $1"
        failures=$((failures + 1))
    fi
}

sample="$bin/starling-sample" prepare="$bin/starling-prepare"

# ---- command lines ----
expect 0 "Usage: starling-sample" "$sample" --help
expect 0 "Starling " "$sample" --version
expect 0 "--on-bad-image" "$prepare" --help
expect 64 "--output DIR is missing" "$sample"
expect 64 "unrecognized option" "$sample" --output x --nonsense
expect 64 "--output is given twice" "$sample" --output x --output y
expect 64 "unexpected argument" "$sample" --output x y
expect 64 "--classes 1: must be a whole number of 2 to 200" "$sample" --output x --classes 1
expect 64 "--classes 10x" "$sample" --output x --classes 10x
expect 64 "--seed -1" "$sample" --output x --seed -1
expect 64 "--seed 99999999999999999999" "$sample" --output x --seed 99999999999999999999
expect 64 "must be one of none|zstd" "$prepare" --input x --output y --compress lzma
expect 64 "must be one of fail|skip" "$prepare" --input x --output y --on-bad-image ''
expect 64 "--val-fraction nan" "$prepare" --input x --output y --val-fraction nan
expect 64 "--help" "$prepare" --input x
check '[ ! -e x ] && [ ! -e y ]'

# ---- a sample set becomes a data set ----
expect 0 "4 classes, 40 training and 8 validation" "$sample" --output set --classes 4 --per-class 10 --val-per-class 2
expect 73 "not empty" "$sample" --output set
expect 0 "train  40 images in 3 files" "$prepare" --input set --output a --images-per-file 16
expect 0 "skipped 0 unreadable" "$prepare" --input set --output b --images-per-file 16 --threads 5
expect 0 "" "$prepare" --input set --output z --images-per-file 16 --compress zstd
check 'diff -r a b'
check '[ "$(ls a)" = "dataset.json
train-000000.tar
train-000001.tar
train-000002.tar
val-000000.tar" ]'
check '[ "$(tar tf a/train-000001.tar | wc -l)" = 32 ]'
check '[ "$(cat a/train-*.tar | tar xOif - --wildcards "*.cls" | fold -w1 | sort | uniq -c | tr -s " \n" " ")" = " 10 0 10 1 10 2 10 3 " ]'
check 'mkdir x && tar xf a/val-000000.tar -C x && cmp x/val_3.jpg set/val/images/val_3.JPEG && rm -r x'
expect 73 "already holds a prepared data set" "$prepare" --input set --output a
check 'diff -r a b'

# ---- names in any script ----
odd=$(printf 'caf\351')
mkdir -p "names/Straße" "names/$odd" names/dog.jpg
cp set/val/images/val_0.JPEG "names/Straße/猫 1.jpg"
cp set/val/images/val_1.JPEG "names/$odd/$(printf 'x\377').jpg"
cp set/val/images/val_2.JPEG names/dog.jpg/plain.jpg
for locale in C C.UTF-8; do
    expect 0 "3 classes" env LC_ALL=$locale "$prepare" --input names --output "names.$locale" --val-fraction 0
    expect 0 "3 classes" env LC_ALL=$locale "$prepare" --input names --output "names.z.$locale" --val-fraction 0 \
        --compress zstd
done
check 'diff -r names.C names.C.UTF-8 && diff -r names.z.C names.z.C.UTF-8'
check '[ "$(LC_ALL=C.UTF-8 tar tf names.C/train-000000.tar 2>&1 | sed "s/\..*//" | LC_ALL=C sort -u)" = "Straße_猫 1
caf%E9_x%FF
dog_jpg_plain" ]'
if python3 -c 'import tarfile' 2>/dev/null; then
    check 'python3 -c "
import tarfile
names = {m.name for m in tarfile.open(\"names.C/train-000000.tar\")}
assert \"Straße_猫 1.jpg\" in names and \"caf%E9_x%FF.cls\" in names, names"'
fi
long=$(printf '%0200d' 7)
mkdir -p longest/a longest/b
cp set/val/images/val_0.JPEG "longest/a/$long.jpg"
cp set/val/images/val_1.JPEG longest/b/1.jpg
expect 0 "2 classes" "$prepare" --input longest --output longest.out --val-fraction 0
check 'mkdir x && tar xf longest.out/train-000000.tar -C x && cmp "x/a_$long.jpg" "longest/a/$long.jpg" && rm -r x'

# ---- folders as people have them ----
mkdir -p high && ln -s ../set high/set
expect 65 "name that as the input" "$prepare" --input high --output y
expect 65 "--allow-one-class" "$prepare" --input set/train/n90000001 --output y
expect 0 "1 classes" "$prepare" --input set/train/n90000001 --output one --allow-one-class
mkdir -p mixed && cp -r set/train mixed/Training && cp -r set/train mixed/TEST && : >mixed/README
expect 0 "left out of mixed: README" "$prepare" --input mixed --output mixed.out
check 'grep -q "no val folder: the images of mixed/TEST validate" err && grep -q "^val    40 images" out'
check 'grep -q "warning: 40 of 40 validation images are training images too" err'

# ---- progress ----
expect 0 "4 classes" "$prepare" --input set --output told
check '[ ! -s err ]'
if script -qec true /dev/null >/dev/null 2>&1; then # it is there, and there are terminals to be had
    SHELL=/bin/sh script -qec "'$prepare' --input set --output drawn --image-size 1024 --threads 1" drawn.log >/dev/null
    check 'grep -q "verified 40 of 48 images" drawn.log && grep -q "4 classes, 1024" drawn.log'
    SHELL=/bin/sh script -qec "'$prepare' --input set --output quiet --image-size 1024 --threads 1 --quiet" quiet.log \
        >/dev/null
    check '! grep -q "verified" quiet.log && grep -q "4 classes, 1024" quiet.log'
fi

# ---- what cannot be read ----
expect 66 "nowhere" "$prepare" --input nowhere --output y
expect 64 "own validation images" "$prepare" --input set --output y --val-fraction 0.1
victim=$(ls set/train/n90000001/images/*_3.JPEG)
printf '\211PNG\r\n\032\n' >"$victim"
expect 65 "n90000001_3.JPEG: not a JPEG image but a PNG image" "$prepare" --input set --output bad
check '[ ! -e bad/dataset.json ] && [ -z "$(ls bad)" ]'
expect 0 "skipped 1 unreadable images" "$prepare" --input set --output bad --on-bad-image skip
check 'grep -q "skipped set/train/n90000001/images/n90000001_3.JPEG: not a JPEG" err'

# ---- what cannot be written ----
# A limit on the size of files stands for a full disk: writing fails in the middle.
expect 73 "cannot write" sh -c 'ulimit -f 8; exec "$0" --input set --output full --on-bad-image skip' "$prepare"
check '[ -z "$(ls full)" ]'
expect 73 "cannot write" sh -c 'ulimit -f 1; exec "$0" --output fullset' "$sample"
: >file
expect 73 "cannot create" "$prepare" --input set --output file --on-bad-image skip
expect 73 "cannot create" "$prepare" --input set --output file/below --on-bad-image skip
expect 73 "cannot create" "$sample" --output file/below
expect 0 "train  39 images" "$prepare" --input set --output no/such/folder --on-bad-image skip
expect 0 "2 classes" "$sample" --output no/other/folder/ --classes 2 --per-class 1 --val-per-class 1
check '[ -e no/such/folder/dataset.json ] && [ -e no/other/folder/wnids.txt ]'
mkdir -p littered/lost+found && : >littered/.DS_Store && cp -r littered littered2
expect 0 "train  39 images" "$prepare" --input set --output littered --on-bad-image skip
expect 0 "2 classes" "$sample" --output littered2 --classes 2 --per-class 1 --val-per-class 1
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod a-w locked
    expect 73 "Permission denied" "$prepare" --input set --output locked/x --on-bad-image skip
fi
if [ -c /dev/full ]; then
    expect 74 "cannot write the output" sh -c 'exec "$0" --output s2 --classes 2 --per-class 1 >/dev/full' "$sample"
fi

# ---- killed in the middle: the next run takes over, and the result is the same ----
mkdir killed
for delay in 0.00 0.01 0.02 0.03 0.05; do
    "$prepare" --input b --output killed >/dev/null 2>&1 # refused: b holds no images
    "$prepare" --input set --output killed --images-per-file 2 --on-bad-image skip >/dev/null 2>&1 &
    sleep "$delay"
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
[ -e killed/dataset.json ] || expect 0 "train  39 images" "$prepare" --input set --output killed --images-per-file 2 \
    --on-bad-image skip
expect 0 "train  39 images" "$prepare" --input set --output whole --images-per-file 2 --on-bad-image skip
check 'rm -f killed/unfinished; diff -r killed whole'

[ "$failures" = 0 ] && echo "all passed"
exit "$failures"
