#!/bin/sh
# Signals: while a run is being opened, while it trains, while it saves; and files that would keep it waiting for ever.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

# A library that makes one step slow: opening, or the first sync of, a file whose path holds $SLOW_OPEN or $SLOW_SYNC.
cat >"$place/slow.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static void wait_long(const char *said)
{
    struct timespec left = {atoi(getenv("SLOW_SECONDS")), 0};
    if (write(2, said, strlen(said)) > 0)
        while (nanosleep(&left, &left)) {}
}
int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (getenv("SLOW_OPEN") && strstr(path, getenv("SLOW_OPEN")))
        wait_long("slow open\n");
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
}
int fsync(int fd)
{
    static int once;
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (getenv("SLOW_SYNC") && readlink(link, path, sizeof path - 1) > 0 && strstr(path, getenv("SLOW_SYNC")) && !once++)
        wait_long("slow sync\n");
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
C
${CC:-cc} -shared -fPIC -o "$place/slow.so" "$place/slow.c" -ldl || exit 1

# starts RUN OPTION...: a run without an end in the background; its process is $pid.
starts() {
    started=$1
    shift
    : >"$place/err" # the process may open it after the first look at it
    "$bin/train_tinyimagenet" --data "$data" --run "$started" --model "$here/tiny.json" --threads 1 --batch-size 5 --epochs 100000 \
        --eval-every 0 "$@" >"$place/out" 2>"$place/err" &
    pid=$!
}

# starts_slowly SECONDS open|sync RUN OPTION...: with that step slow.
starts_slowly() {
    export SLOW_SECONDS="$1" LD_PRELOAD="$place/slow.so" ASAN_OPTIONS="verify_asan_link_order=0:${ASAN_OPTIONS:-}"
    case $2 in
    open) export SLOW_OPEN=train-000001.tar ;;
    sync) export SLOW_SYNC=/ckpt- ;;
    esac
    shift 2
    starts "$@"
    unset SLOW_SECONDS LD_PRELOAD SLOW_OPEN SLOW_SYNC ASAN_OPTIONS
}

# waits_for COMMAND...: until it succeeds, the run has ended, or half a minute has passed.
waits_for() {
    tries=3000
    until "$@" 2>/dev/null || ! kill -0 "$pid" 2>/dev/null || [ "$tries" -eq 0 ]; do
        sleep 0.01
        tries=$((tries - 1))
    done
}
waits_for_text() { waits_for grep -q "$1" "$place/err"; }
steps() { [ "$(grep -c '"event":"step"' "$started/log.jsonl")" -ge "$1" ]; }
waits_for_steps() { waits_for steps "$1"; }
collects() {
    status=0
    wait "$pid" 2>/dev/null || status=$?
}
# soon SECONDS: it ends by itself within that time.
soon() {
    tries=$(($1 * 20))
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -gt 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
    in_time=$tries
    kill -KILL "$pid" 2>/dev/null
    collects
    [ "$in_time" -gt 0 ]
}

# ---- while it is being opened ----
for signal in INT TERM HUP USR1 USR2 XCPU; do
    starts_slowly 30 open "$place/opening-$signal"
    waits_for_text 'slow open'
    kill -"$signal" "$pid"
    check "SIG$signal while opening ends at once" soon 5
    check 'with exit 75' test "$status" -eq 75
    check 'and says what happened' says "^train_tinyimagenet: stopped by SIG$signal before the first step; .* start it again\$"
    check 'there is no checkpoint' not test -e "$place/opening-$signal/last-good"
    check 'started again, it trains' trains 0 "$place/opening-$signal" --max-steps 1
done

# ---- while it trains ----
for signal in INT TERM HUP USR1 USR2 XCPU; do
    starts "$place/training-$signal" --log-every 1
    waits_for_steps 3
    kill -"$signal" "$pid"
    check "SIG$signal while training ends it" soon 10
    check 'with exit 75' test "$status" -eq 75
    check 'and says that it is saved' says "^train_tinyimagenet: stopped by SIG$signal after [0-9]+ steps; the checkpoint is saved, go on with --resume\$"
    check 'it is saved' test -s "$place/training-$signal/last-good"
    step=$(sed 's/ckpt-//' "$place/training-$signal/last-good")
    check 'and goes on' trains 0 "$place/training-$signal" --resume --max-steps $((step + 1))
done

# ---- HUP that is ignored from the beginning ----
trap '' HUP
starts "$place/nohup"
trap 'exit 1' HUP
waits_for_steps 2
kill -HUP "$pid"
before=$(grep -c '"event":"step"' "$place/nohup/log.jsonl")
waits_for_steps $((before + 50))
check 'a run under nohup goes on after SIGHUP' kill -0 "$pid"
kill -TERM "$pid"
check 'and ends with SIGTERM' soon 10
check 'with exit 75' test "$status" -eq 75

# ---- the limit of CPU time ----
(
    # shellcheck disable=SC3045 # dash and bash both know it
    ulimit -S -t 1
    exec "$bin/train_tinyimagenet" --data "$data" --run "$place/cpu-time" --model "$here/tiny.json" --threads 1 --batch-size 5 \
        --epochs 100000 --eval-every 0
) >"$place/out" 2>"$place/err" &
pid=$!
check 'a soft limit of CPU time ends it' soon 120 # a busy machine grants that second late
check 'with exit 75' test "$status" -eq 75
check 'saved' test -s "$place/cpu-time/last-good"

# ---- while it saves ----
starts_slowly 30 sync "$place/forced"
waits_for_text 'slow sync'
kill -INT "$pid"
presses=0
while sleep 0.2 && kill -INT "$pid" 2>/dev/null && [ "$presses" -lt 40 ]; do
    presses=$((presses + 1)) # two that come at once are one
done
check 'a second SIGINT ends it at once' soon 3
check 'by the signal' test "$status" -eq 130
check 'what it left does not stop the next' trains 0 "$place/forced" --resume --max-steps 1
for signal in TERM XCPU HUP; do
    starts_slowly 1 sync "$place/patient-$signal"
    waits_for_text 'slow sync'
    kill -$signal "$pid"
    sleep 0.1
    kill -$signal "$pid"
    sleep 0.1
    kill -TERM "$pid"
    check "a second SIG$signal lets it save" soon 10
    check 'with exit 75' test "$status" -eq 75
    check 'saved' test -s "$place/patient-$signal/last-good"
done

# ---- files that are none ----
mkfifo "$place/fifo"
cp -r "$data" "$place/fifo-data"
rm "$place/fifo-data/dataset.json"
mkfifo "$place/fifo-data/dataset.json"
cp -r "$data" "$place/fifo-shard"
rm "$place/fifo-shard/train-000001.tar"
mkfifo "$place/fifo-shard/train-000001.tar"
# ends_soon STATUS PATTERN DESCRIPTION PROGRAM ARGUMENT...
ends_soon() {
    wanted=$1 pattern=$2 description=$3 program=$4
    shift 4
    "$bin/$program" "$@" >"$place/out" 2>"$place/err" </dev/null &
    pid=$!
    check "$description ends" soon 5
    check "with exit $wanted" test "$status" -eq "$wanted"
    check 'and says why' says "$pattern"
}
mkfifo "$place/fifo.json"
mkdir "$place/folder.json"
ln -s /dev/zero "$place/zero.json"
for model in "$place/fifo.json" "$place/zero.json" "$place/folder.json"; do
    ends_soon 65 "^train_tinyimagenet: $model: a (special file|folder), not a file\$" "--model $model" train_tinyimagenet --data "$data" \
        --run "$place/none" --model "$model"
done
ends_soon 65 'fifo-data/dataset.json: a special file' 'a FIFO as dataset.json' train_tinyimagenet --data "$place/fifo-data" --run "$place/none"
ends_soon 65 'train-000001.tar' 'a FIFO as shard' train_tinyimagenet --data "$place/fifo-shard" --run "$place/none" --model "$here/tiny.json"
ends_soon 65 'fifo: not a regular file' 'a FIFO as model of evaluate' starling-evaluate --data "$data" --model "$place/fifo"
ends_soon 65 'fifo: not a regular file' 'a FIFO as model of predict' starling-predict --data "$data" --model "$place/fifo"
ends_soon 65 'fifo: a special file' 'a FIFO as image' starling-predict --model "$place/cpu-time" "$place/fifo"
for class in "$place"/images/train/*; do
    mkfifo "$class/images/fifo.JPEG"
    break
done
ends_soon 65 'fifo.JPEG' 'a FIFO among the images' starling-prepare --input "$place/images" --output "$place/fifo-prepared"
finish
