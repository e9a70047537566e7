#!/bin/sh
# The programs as processes: what they do with standard streams that are closed or full, and with their environment.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
programs='starling-sample starling-prepare train_tinyimagenet starling-evaluate starling-predict starling-doctor'

# ends_with STATUS COMMAND...: with all streams closed but those that the caller opens.
ends_with() {
    wanted=$1
    shift
    status=0
    "$@" || status=$?
    [ "$status" -eq "$wanted" ]
}

# ---- closed: a file must not get the number of a stream ----
closed() { "$bin/train_tinyimagenet" --data "$data" --run "$1" --model "$here/tiny.json" --batch-size 5 --threads 1 --max-steps 3 \
    --log-every 1 <&- >&- 2>&-; }
check 'training with all streams closed: its folder cannot be printed' ends_with 74 closed "$place/closed"
check 'it is trained all the same' test "$(cat "$place/closed/last-good")" = ckpt-3
check 'log.jsonl holds records and nothing else' not grep -Evq '^\{"schema_version":.*\}$' "$place/closed/log.jsonl"
check 'a record of each step' test "$(grep -c '"event":"step"' "$place/closed/log.jsonl")" -eq 3
check 'metrics.csv holds its header' grep -q '^epoch,' "$place/closed/metrics.csv"
check 'only stderr closed' trains 0 "$place/open" --max-steps 3
no_stderr() { "$bin/train_tinyimagenet" --data "$data" --run "$1" --model "$here/tiny.json" --batch-size 5 --threads 1 --max-steps 3 \
    --log-every 1 2>&- >"$place/out"; }
check 'training with stderr closed ends well' ends_with 0 no_stderr "$place/closed2"
check 'log.jsonl holds records and nothing else' not grep -Evq '^\{"schema_version":.*\}$' "$place/closed2/log.jsonl"
check 'the weights are the same' cmp "$place/closed2/ckpt-3/model.safetensors" "$place/open/ckpt-3/model.safetensors"

find "$place/images/train" -name '*.JPEG' | sort | head -n 1 >"$place/first"
cp -r "$place/images" "$place/damaged"
head -c 100 "$(cat "$place/first")" >"$place/damaged/$(sed "s|$place/images/||" "$place/first")"
prepare() { "$bin/starling-prepare" --input "$place/damaged" --output "$1" --image-size 16 --on-bad-image skip; }
prepare "$place/shards" >"$place/out" 2>"$place/err"
check 'a set with a damaged image: the message' says 'skipped '
prepare "$place/shards-closed" <&- 2>&- >"$place/out"
check 'the same bytes with stdin and stderr closed' diff -r "$place/shards" "$place/shards-closed"
check 'reading a list from a closed stdin fails' ends_with 74 "$bin/starling-predict" --model "$place/open" --list - <&- >"$place/out" 2>"$place/err"

# ---- full ----
for program in $programs; do
    for option in --help -h --usage --version; do
        status=0
        "$bin/$program" $option >/dev/full 2>"$place/err" || status=$?
        check "$program $option into a full disk: exit 74" test "$status" -eq 74
        check 'and its reason' says "^$program: cannot write the output: No space left on device\$"
        check 'once' lines 1 "$place/err"
    done
    ends 0 "$program -h" "$program" -h
    cp "$place/out" "$place/help"
    ends 0 "$program --help" "$program" --help
    check '-h is --help' cmp "$place/help" "$place/out"
done

# ---- misspelt: refused by every program, with the choices ----
arguments() {
    case $1 in
    starling-sample) echo --output "$place/none" ;;
    starling-prepare) echo --input "$place/images" --output "$place/none" ;;
    train_tinyimagenet) echo --data "$data" --run "$place/none" ;;
    starling-evaluate) echo --data "$data" --model "$place/open" ;;
    starling-predict) echo --data "$data" --model "$place/open" ;;
    esac
}
# shellcheck disable=SC2046 # lists of words
for program in $programs; do
    export SL_ISA=avx-2
    refuses 78 'SL_ISA=avx-2: it must be ref, avx2, avx512 or amx$' "$program: SL_ISA misspelt" "$program" $(arguments "$program")
    unset SL_ISA
    export SL_KERNEL=conv2d_fwd:ref,conv2d_bwd_data:direct_avx
    refuses 78 'SL_KERNEL: "conv2d_bwd_data:direct_avx" names no row; conv2d_bwd_data has (.*, )?direct_avx2, (.*, )?ref, (.*, )?bf16_ref$' \
        "$program: a row of SL_KERNEL misspelt" "$program" $(arguments "$program")
    unset SL_KERNEL
done
for wrong in conv2d conv2d:ref 'conv2d_fw:ref' ',' 'conv2d_fwd:ref,,'; do
    export SL_KERNEL="$wrong"
    refuses 78 'SL_KERNEL: there is no operation "[^"]*"; it must be op:name, op one of conv2d_fwd, .*threshold_clip$' \
        "an operation of SL_KERNEL misspelt: $wrong" starling-doctor
done
export SL_KERNEL=conv2d_fwd:ref,pool_max_fwd:ref SL_ISA=avx2
ends 0 'both spelt right' starling-doctor
export SL_KERNEL='' SL_ISA=''
ends 0 'both empty' starling-doctor
unset SL_KERNEL SL_ISA

# ---- a system that refuses threads, from the N-th on ----
cat >"$place/few.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *self)
{
    static int made;
    if (made++ >= atoi(getenv("FEW_THREADS")))
        return EAGAIN;
    return ((create_fn *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, start, self);
}
C
${CC:-cc} -shared -fPIC -o "$place/few.so" "$place/few.c" -ldl || exit 1
few() {
    env FEW_THREADS="$1" LD_PRELOAD="$place/few.so" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}" "$bin/train_tinyimagenet" \
        --data "$data" --run "$place/few" --model "$here/tiny.json" --batch-size 5 --max-steps 1 --threads "$2" >"$place/out" 2>"$place/err"
}
for granted in 0 2; do
    check "$granted threads granted, 3 more wanted" ends_with 71 few $granted 4
    check 'the message' says "the system grants $((granted + 1)) of 4 threads: .*; use --threads or OMP_NUM_THREADS, or raise the limit"
done
check 'compute alone has its threads' ends_with 71 few 6 4
check 'the loader is refused its own' says 'the system refuses a thread for the loader'
check 'all granted: 3 to try, 3 to compute, 1 to load' ends_with 0 few 7 4
rm -r "$place/few"
check 'one thread of compute asks for none' ends_with 0 few 1 1
check 'none of these created anything' not test -e "$place/none"
finish
