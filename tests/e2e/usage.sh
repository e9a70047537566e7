#!/bin/sh
# Wrong command lines: exit 64, a message that names the mistake, a hint, nothing on stdout, nothing created.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$place" || exit 1

# mistakes PROGRAM GOOD_ARGUMENTS: what is wrong with every program alike. The good arguments come first.
mistakes() {
    program=$1
    shift
    refuses 64 'no-such-option' "$program: an unknown option" "$program" "$@" --no-such-option
    refuses 64 'x' "$program: an unknown short option" "$program" "$@" -x
    refuses 64 "$program --help" "$program: the hint" "$program" "$@" --no-such-option
}

# needs PROGRAM OPTION ARGUMENT...: without OPTION among the arguments.
needs() {
    program=$1 option=$2
    shift 2
    refuses 64 "$option .*is missing" "$program: no $option" "$program" "$@"
}

# wrong PROGRAM "GOOD ARGUMENTS" OPTION VALUE...
wrong() {
    program=$1 good=$2 option=$3
    shift 3
    for value in "$@"; do
        # shellcheck disable=SC2086 # a list of words
        refuses 64 "$option.*must be" "$program: $option '$value'" "$program" $good "$option" "$value"
    done
}

twice() {
    program=$1 good=$2 option=$3 value=$4
    # shellcheck disable=SC2086 # a list of words
    refuses 64 "$option is given twice" "$program: $option twice" "$program" $good "$option" "$value" "$option" "$value"
}

sample='--output s'
mistakes starling-sample --output s
needs starling-sample --output
wrong starling-sample "$sample" --classes 1 201 ten 1e2 '' ' ' 3x -3 99999999999999999999
wrong starling-sample "$sample" --size 15 1025
wrong starling-sample "$sample" --seed -1
twice starling-sample "$sample" --classes 3
refuses 64 'unexpected argument stray' 'starling-sample: an argument' starling-sample --output s stray
refuses 64 'requires an argument' 'starling-sample: an option without its value' starling-sample --output

prepare='--input i --output o'
mistakes starling-prepare --input i --output o
needs starling-prepare --input --output o
needs starling-prepare --output --input i
wrong starling-prepare "$prepare" --orientation upright 'apply|ignore' ''
wrong starling-prepare "$prepare" --compress gzip 'none|zstd' ''
wrong starling-prepare "$prepare" --image-size 0 -1 nan
wrong starling-prepare "$prepare" --images-per-file 0 x
wrong starling-prepare "$prepare" --val-fraction 1 -0.1 nan inf
twice starling-prepare "$prepare" --seed 1
refuses 64 'unexpected argument stray' 'starling-prepare: an argument' starling-prepare --input i --output o stray

train='--data d --run r'
mistakes train_tinyimagenet --data d --run r
needs train_tinyimagenet --data --run r
needs train_tinyimagenet --run --data d
for option in --epochs --batch-size --threads --workers --max-steps --keep; do
    wrong train_tinyimagenet "$train" "$option" 0 -1 1.5 x
    twice train_tinyimagenet "$train" "$option" 1
done
wrong train_tinyimagenet "$train" --lr 0 -1 nan inf 1e30 fast
wrong train_tinyimagenet "$train" --weight-decay -1 nan
wrong train_tinyimagenet "$train" --momentum 1 -0.5
wrong train_tinyimagenet "$train" --optimizer adagrad '' Adam
wrong train_tinyimagenet "$train" --backend gpu
wrong train_tinyimagenet "$train" --device -1 1024 cuda:0
wrong train_tinyimagenet "$train" --precision fp16 tf33
wrong train_tinyimagenet "$train" --pixels byte
wrong train_tinyimagenet "$train" --memory-limit 0 -1 1Q 1MX 1KK 1Bi 1iB 1i 1BB B MB "1 MB" 99999999999999999999 99999999999G 16777216T
wrong train_tinyimagenet "$train" --seed -1 18446744073709551616
twice train_tinyimagenet "$train" --lr 0.1
refuses 64 '--resume is given twice' 'train_tinyimagenet: --resume twice' train_tinyimagenet --data d --run r --resume --resume
refuses 64 'constant rate' 'train_tinyimagenet: --lr and --lr-schedule' train_tinyimagenet --data d --run r --lr 1 --lr-schedule 0:1
for schedule in 1:0.1 0:0.1,0:0.2 0:0.1,2:0.1,1:0.1 0: 0:x 0:-1 0:nan "0:0.1," 0:0.1x "0:0.1,,"; do
    refuses 64 "schedule" "train_tinyimagenet: --lr-schedule $schedule" train_tinyimagenet --data d --run r --lr-schedule "$schedule"
done
for optimizer in adam amsgrad; do
    refuses 64 "momentum belongs to --optimizer sgd; $optimizer" "train_tinyimagenet: --momentum with $optimizer" train_tinyimagenet \
        --data d --run r --momentum 0.9 --optimizer $optimizer
done
refuses 64 'momentum belongs to --optimizer sgd' 'train_tinyimagenet: --momentum with the default' train_tinyimagenet --data d --run r \
    --momentum 0.9
# These are right, so that the missing data set is what stops them.
for size in 1 1B 1b 512k 512K 512KB 512KiB 512kib 2M 2MB 2G 2GB 2GiB 2gb 1T 1TB 1TiB; do
    refuses 66 'd: holds no prepared data set' "train_tinyimagenet: --memory-limit $size" train_tinyimagenet --data d --run r --memory-limit $size
    rm -rf r
done
refuses 64 'unexpected argument stray' 'train_tinyimagenet: an argument' train_tinyimagenet --data d --run r stray

evaluate='--data d --model m'
mistakes starling-evaluate --data d --model m
needs starling-evaluate --data --model m
needs starling-evaluate --model --data d
wrong starling-evaluate "$evaluate" --top 0 -1 x
wrong starling-evaluate "$evaluate" --batch-size 0 4097
wrong starling-evaluate "$evaluate" --on-bad-image ignore
twice starling-evaluate "$evaluate" --split val
refuses 64 'unexpected argument stray' 'starling-evaluate: an argument' starling-evaluate --data d --model m stray

mistakes starling-predict --model m i.jpg
needs starling-predict --model i.jpg
wrong starling-predict '--model m i.jpg' --top 0 x
wrong starling-predict '--model m i.jpg' --batch-size 0
wrong starling-predict '--model m i.jpg' --memory-limit 0 x
refuses 64 '--null needs --list' 'starling-predict: --null without a list' starling-predict --model m --null i.jpg
refuses 64 'standard input .* named 2 times' 'starling-predict: - twice' starling-predict --model m - i.jpg -
refuses 64 'either images' 'starling-predict: nothing to predict' starling-predict --model m
refuses 64 'either images' 'starling-predict: images and --data' starling-predict --model m --data d i.jpg
refuses 64 'either images' 'starling-predict: --list and --data' starling-predict --model m --data d --list l

check 'none of these created anything' test "$(ls)" = "$(printf 'err\nout')"
finish
