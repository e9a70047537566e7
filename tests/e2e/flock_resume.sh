#!/bin/sh
# Ranks that are killed while they save, whose files are damaged, whose disk is full, whose numbers are not finite, who come
# back as fewer or more: nothing that was saved is lost, and a resumed run has the bits of an unbroken one.
# shellcheck disable=SC2317,SC2154 # functions that check calls; what lib.sh and ranks.sh give
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/ranks.sh
. "$here/ranks.sh"
make_data

# A library for one rank: while the file $BAD_LOSS is there its loss is no number, and while $FULL_DISK is there it cannot
# write a file of a checkpoint.
cat >"$place/faults.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int asked_for(const char *name)
{
    return getenv(name) && access(getenv(name), F_OK) == 0;
}
double log(double x)
{
    return asked_for("BAD_LOSS") ? NAN : ((double (*)(double))dlsym(RTLD_NEXT, "log"))(x);
}
ssize_t write(int fd, const void *from, size_t n)
{
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (asked_for("FULL_DISK") && readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/ckpt-")) {
        errno = ENOSPC;
        return -1;
    }
    return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, from, n);
}
C
${CC:-cc} -shared -fPIC -o "$place/faults.so" "$place/faults.c" -ldl || exit 1
with_faults() {
    echo "LD_PRELOAD=$place/faults.so BAD_LOSS=$place/bad-loss FULL_DISK=$place/full-disk ASAN_OPTIONS=verify_asan_link_order=0:$ASAN_OPTIONS" >"$place/ranks/env-1"
}
without_faults() { rm -f "$place/ranks/env-1" "$place/bad-loss" "$place/full-disk"; }
points_behind() { [ "$(sed 's/ckpt-//' "$started/last-good")" -gt "$1" ]; }
step_of() { sed 's/ckpt-//' "$1/last-good"; }

# ---- unbroken runs to compare with ----
for exchange in threshold dense; do
    check "an unbroken run, $exchange" trains_as 3 0 "$place/unbroken-$exchange" --epochs 5 --exchange $exchange
done

# ---- kill -9 while they save: they hardly do anything else ----
for exchange in threshold dense; do
    deaths=0 again='' run=$place/killed-$exchange
    for moment in 0 4 1 7 2 12; do
        # shellcheck disable=SC2086 # an option or none
        begins 3 train_tinyimagenet --data "$data" --run "$run" --model "$network" --threads 1 --batch-size 3 --epochs 5 \
            --exchange $exchange --checkpoint-every 1 --keep 2 $again
        started=$run
        if [ -z "$again" ]; then waits_for test -s "$run/last-good"; else waits_for_text '^resumed from'; fi
        sleep 0.0$((moment / 10))$((moment % 10))
        kill -KILL "$(rank $((moment % 3)))" 2>/dev/null && deaths=$((deaths + 1))
        soon 30
        [ -z "$again" ] || check "after a kill: a checkpoint that loads ($(step_of "$run"))" says '^resumed from'
        again=--resume
    done
    check "$exchange: killed $deaths times" test "$deaths" -gt 0
    check 'resumed to its end' trains_as 3 0 "$run" --epochs 5 --exchange $exchange --checkpoint-every 1 --keep 2 --resume
    check 'the bits of the unbroken run' same_ranks "$run" "$place/unbroken-$exchange"
    check 'its best' cmp "$run/best" "$place/unbroken-$exchange/best"
    check 'nothing temporary is left' test -z "$(find "$run" -name '*.tmp*')"
done

# ---- files that are damaged: all ranks fall back together ----
for damage in flipped cut lost; do
    run=$place/$damage
    check "a run whose newest checkpoint will be $damage" trains_as 3 0 "$run" --epochs 5 --max-steps 24
    file=$(newest "$run")/rank-0001.safetensors
    case $damage in
    flipped) flip "$file" $(($(bytes "$file") - 9)) ;;
    cut) truncate -s 100 "$file" ;;
    lost) rm "$file" ;;
    esac
    check 'resumes from the one before' trains_as 3 0 "$run" --epochs 5 --resume
    check 'which is said once' once '^resumed from .*/ckpt-18: epoch 3, batch 0$'
    check 'and why' once "^.*ckpt-24.*rank-0001.safetensors"
    check 'the bits of the unbroken run' same_ranks "$run" "$place/unbroken-threshold"
done
check 'a run whose checkpoints will all be damaged' trains_as 3 0 "$place/ruined" --max-steps 6
flip "$(newest "$place/ruined")/rank-0002.safetensors" 300
check 'is refused: 65' trains_as 3 65 "$place/ruined" --resume
check 'by name' says 'rank-0002.safetensors'

# ---- another number of ranks ----
for combine in mean sum; do
    run=$place/world-$combine
    set -- --combine $combine --hash-every 1
    check "4 ranks, $combine" trains_as 4 0 "$run" --max-steps 6 "$@"
    check 'go on as 2' trains_as 2 0 "$run" --max-steps 13 --resume "$@"
    check 'which is said' once '^the checkpoint was made by 4 ranks and goes on with 2$'
    check 'with 2 files' of_ranks 2 "$run"
    check 'and as 3' trains_as 3 0 "$run" --max-steps 22 --resume "$@"
    check 'which is said' once '^the checkpoint was made by 2 ranks and goes on with 3$'
    check 'with 3 files' of_ranks 3 "$run"
    check 'and as one process' trains 0 "$run" --batch-size 3 --exchange threshold --max-steps 40 --resume "$@"
    check 'and as 2' trains_as 2 0 "$run" --max-steps 50 --resume "$@"
    check 'which is said' once '^the checkpoint was made by 1 ranks and goes on with 2$'
done

# ---- numbers of one rank that are not finite ----
with_faults
begins_training 2 "$place/bad" --hash-every 1 --max-skips 1000000
waits_for_steps 5
touch "$place/bad-loss"
waits_for_text 'step skipped'
rm "$place/bad-loss"
seen=$(grep -c '"event":"step"' "$place/bad/log.jsonl")
waits_for_steps $((seen + 10))
check 'one rank whose loss is no number: all go on' steps $((seen + 10))
check 'which is said' says '^warning: step skipped: the loss is not finite at iteration [0-9]+ on one of the ranks'
kill -USR1 "$pid"
check 'and stop' soon 20
check 'with replicas that are equal' not says 'the parameters of rank'
for most in 0 3; do
    touch "$place/bad-loss"
    begins_training 2 "$place/bad-$most" --max-skips $most
    check "--max-skips $most ends" soon 20
    check "with 79 ($status)" is_status 79
    row=
    [ "$most" -eq 0 ] || row="$((most + 1)) steps in a row: "
    check 'and says after how many, once' once "^train_tinyimagenet: ${row}the loss is not finite at iteration $most on one of the ranks"
    check "after $most warnings" test "$(grep -c 'step skipped' "$place/err")" -eq $most
    check 'and leaves no checkpoint' not test -e "$place/bad-$most/last-good"
    rm "$place/bad-loss"
done

# ---- the disk of one rank is full ----
begins_training 2 "$place/full" --checkpoint-every 2
waits_for test -s "$place/full/last-good"
touch "$place/full-disk"
waits_for_text 'no checkpoint'
check 'a full disk: training goes on' kill -0 "$pid"
check 'and says who has no room for what' says '^warning: no checkpoint: rank 1 on [^ ]+: .*rank-0001.safetensors.*: No space left'
check 'the newest checkpoint is there' test -s "$(newest "$place/full")/manifest.json"
rm "$place/full-disk"
waits_for points_behind "$(step_of "$place/full")"
touch "$place/full-disk"
waits_for_text 'no checkpoint'
kill -USR1 "$pid"
check 'a run that is asked to save, and cannot' soon 20
check "ends with 73 ($status)" is_asked 73
check 'and says why' says '^train_tinyimagenet: rank 1 on [^ ]+: .*No space left'
without_faults
check 'what it had goes on' trains_as 2 0 "$place/full" --eval-every 0 --epochs 100000 --resume --max-steps $(($(step_of "$place/full") + 2))
check 'nothing temporary is left' test -z "$(find "$place/full" -name '*.tmp*')"
finish
