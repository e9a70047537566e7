#!/bin/sh
# A run that is killed, interrupted or stopped anywhere ends with the bits of a run that was left alone.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

# starts RUN OPTION...: as trains, in the background, and giving way to this script; its process is $pid.
starts() {
    started=$1
    shift
    case " $* " in
    *" --threads "*) ;;
    *) set -- --threads 1 "$@" ;;
    esac
    case " $* " in
    *" --batch-size "*) ;;
    *) set -- --batch-size 5 "$@" ;;
    esac
    nice -n 10 "$bin/train_tinyimagenet" --data "$data" --run "$started" --model "$here/tiny.json" "$@" \
        >"$place/out" 2>"$place/err" &
    pid=$!
}

# How many steps a run has logged; a log that is not there yet has none.
steps_logged() {
    logged=$(grep -c '"event":"step"' "$1/log.jsonl" 2>/dev/null || :)
    echo "${logged:-0}"
}

# Waits until the run has logged that many steps, and anything at all, or has ended.
waits_for() {
    while { [ "$(steps_logged "$1")" -lt "$2" ] || [ ! -s "$1/log.jsonl" ]; } && kill -0 "$pid" 2>/dev/null; do
        sleep 0.005
    done
}

# collects: the exit status of the background run.
collects() {
    status=0
    wait "$pid" 2>/dev/null || status=$?
}

# The epochs in metrics.csv, each once and in order; the columns that time does not change are those of the unbroken run.
same_metrics() {
    for folder in "$1" "$2"; do
        cut -d , -f 1-6,9 "$folder/metrics.csv" >"$place/$(basename "$folder").metrics"
    done
    cmp "$place/$(basename "$1").metrics" "$place/$(basename "$2").metrics"
}

# interrupted NAME SIGNAL "STEPS..." "OPTIONS" "OPTIONS OF RESUMING": the run $broken, killed after each of these many
# more records; counts the times in $deaths.
interrupted() {
    name=$1 signal=$2 steps=$3 options=$4 resuming=$5 seen=0 deaths=0 again=
    rm -rf "$broken"
    for more in $steps; do
        seen=$(steps_logged "$broken")
        # shellcheck disable=SC2086 # lists of words
        starts "$broken" $options $again
        waits_for "$broken" $((seen + more))
        kill -"$signal" "$pid" 2>/dev/null
        collects
        case $signal:$status in
        KILL:137 | *:75) deaths=$((deaths + 1)) ;;
        KILL:0 | *:0) ;; # it was faster
        *) fail "$name: exit $status after SIG$signal" ;;
        esac
        again="--resume $resuming"
    done
}

# killed NAME UNBROKEN SIGNAL "STEPS..." "OPTIONS" "OPTIONS OF RESUMING": interrupted, then resumed to its end. On a
# machine that is busy the run may be faster than every signal; then it begins again.
killed() {
    unbroken=$2 broken=$place/$1 rounds=0 deaths=0
    while [ "$deaths" -eq 0 ] && [ "$rounds" -lt 20 ]; do
        interrupted "$1" "$3" "$4" "$5" "$6"
        rounds=$((rounds + 1))
    done
    check "$name: interrupted $deaths times" test "$deaths" -gt 0
    # shellcheck disable=SC2086 # lists of words
    check "$name: resumed to its end" trains 0 "$broken" $options --resume $resuming
    check "$name: the bits of the unbroken run" same_run "$broken" "$unbroken"
    check "$name: its metrics" same_metrics "$broken" "$unbroken"
    check "$name: its best" cmp "$broken/best" "$unbroken/best"
    check "$name: which is there" test -s "$broken/$(cat "$broken/best")/manifest.json"
}

# ---- unbroken runs to compare with ----
plain='--epochs 4 --seed 7'
rich='--epochs 3 --seed 9 --flip --crop-padding 2 --optimizer adam --pixels standardised'
# shellcheck disable=SC2086 # lists of words
{
    check 'an unbroken run' trains 0 "$place/unbroken" $plain
    check 'an unbroken run with augmentation' trains 0 "$place/unbroken-rich" $rich --checkpoint-every 3
    check 'the same run twice' trains 0 "$place/twice" $plain --checkpoint-every 3 --threads 2 --workers 3
}
check 'it has the same bits, on other threads and with more checkpoints' same_run "$place/twice" "$place/unbroken"
check 'another seed' trains 0 "$place/other" --epochs 4 --seed 8
check 'gives other bits' not same_run "$place/other" "$place/unbroken" 2>/dev/null

# ---- kill -9 ----
killed kill9 "$place/unbroken" KILL '1 4 7 2 11 5 3' "$plain --checkpoint-every 3" ''
killed kill9-rich "$place/unbroken-rich" KILL '2 8 5 9' "$rich --checkpoint-every 3" '--threads 2 --workers 2'
killed kill9-each-step "$place/unbroken" KILL '3 2 6' "$plain --checkpoint-every 1 --keep 1" ''
check 'retention leaves the newest and the best' test "$(find "$place/kill9-each-step" -name 'ckpt-*' | sort)" = \
    "$(for kept in best last-good; do echo "$place/kill9-each-step/$(cat "$place/kill9-each-step/$kept")"; done | sort -u)"
check 'and nothing temporary' test -z "$(find "$place/kill9-each-step" -name '*.tmp')"

# ---- signals that ask ----
for signal in INT TERM USR1; do
    killed "signal-$signal" "$place/unbroken" $signal '3 9 8' "$plain" '--workers 2'
done
starts "$place/asked" --epochs 100000 --seed 7 --eval-every 0
waits_for "$place/asked" 5
kill -USR1 "$pid"
collects
check 'SIGUSR1: exit 75' test "$status" -eq 75
check 'SIGUSR1: the message says how to go on' says 'the checkpoint is saved, go on with --resume'
check 'SIGUSR1: nothing on stdout' silent

# ---- interrupted while validating: 2 steps, then 6,000 images ----
ends 0 'images with a long validation' starling-sample --output "$place/long-images" --classes 4 --per-class 2 --val-per-class 1500 --size 16
ends 0 'prepared' starling-prepare --input "$place/long-images" --output "$place/long" --image-size 16
data=$place/long
check 'an unbroken run with a long validation' trains 0 "$place/long-unbroken" --epochs 2 --batch-size 4 --eval-every 1
rounds=0 status=0
until [ "$status" -eq 75 ] && lines 1 "$place/long-broken/metrics.csv" || [ "$rounds" -eq 20 ]; do
    rm -rf "$place/long-broken"
    starts "$place/long-broken" --epochs 2 --batch-size 4
    waits_for "$place/long-broken" 2
    kill -TERM "$pid"
    collects
    rounds=$((rounds + 1))
done
check 'SIGTERM while validating: exit 75' test "$status" -eq 75
check 'the epoch has no row yet' lines 1 "$place/long-broken/metrics.csv"
check 'resumed, it validates first' trains 0 "$place/long-broken" --epochs 2 --batch-size 4 --resume
check 'the bits of the unbroken run' same_run "$place/long-broken" "$place/long-unbroken"
check 'its metrics' same_metrics "$place/long-broken" "$place/long-unbroken"
data=$place/data

# ---- stopped by --max-steps ----
for k in 1 10 13; do
    # shellcheck disable=SC2086 # lists of words
    {
        check "--max-steps $k" trains 0 "$place/steps-$k" $plain --max-steps $k
        check "--max-steps $k: saved at that step" test "$(cat "$place/steps-$k/last-good")" = ckpt-$k
        check "--max-steps $k: again is no step more" trains 0 "$place/steps-$k" $plain --max-steps $k --resume
        check "--max-steps $k: then resumed" trains 0 "$place/steps-$k" $plain --resume
    }
    check "--max-steps $k: where it resumed" says "resumed from .*ckpt-$k: epoch $((k / 10)), batch $((k % 10))"
    check "--max-steps $k: the bits of the unbroken run" same_run "$place/steps-$k" "$place/unbroken"
    check "--max-steps $k: its metrics" same_metrics "$place/steps-$k" "$place/unbroken"
done
check 'fewer epochs' trains 0 "$place/longer" --epochs 2 --seed 7
check 'then more' trains 0 "$place/longer" --epochs 4 --seed 7 --resume
check 'the bits of the unbroken run' same_run "$place/longer" "$place/unbroken"
check 'resuming a finished run does nothing' trains 0 "$place/longer" --epochs 4 --seed 7 --resume
check 'and says so' says 'nothing left to do: 4 epochs and '
check 'and says its folder' prints "^$place/longer\$"
check 'its metrics' same_metrics "$place/longer" "$place/unbroken"

# ---- which folder ----
check '--resume in a new folder starts afresh' trains 0 "$place/fresh" --max-steps 2 --resume
check 'and says so' says 'nothing to resume'
check 'a folder with a run, without --resume' trains 73 "$place/fresh" --max-steps 3
check 'is refused with advice' says 'already holds a run; add --resume'
check 'and keeps its checkpoint' test "$(cat "$place/fresh/last-good")" = ckpt-2
mkdir "$place/stray"
echo keep >"$place/stray/notes.txt"
check 'a folder with files of others is a run folder too' trains 0 "$place/stray" --max-steps 1
check 'the files stay' grep -q keep "$place/stray/notes.txt"
# Killed in the second epoch's first steps, and its checkpoint lost: the rows of the first epoch must not stand twice.
check 'a run that lost its checkpoints' trains 0 "$place/lost" --epochs 1 --seed 7
rm -r "$place/lost"/ckpt-* "$place/lost/last-good"
# shellcheck disable=SC2086 # a list of words
check 'starts afresh with --resume' trains 0 "$place/lost" $plain --resume
check 'its metrics begin anew' same_metrics "$place/lost" "$place/unbroken"

# ---- the best ----
accuracies() { tail -n +2 "$1/metrics.csv" | cut -d , -f 2,5; }
ours=$place/best-run
check 'a run that keeps one checkpoint' trains 0 "$ours" --epochs 6 --seed 7 --keep 1 --lr 0.02
best=$(accuracies "$ours" | sort -t , -k 2,2gr -k 1,1n | head -n 1 | cut -d , -f 1)
check "its best is ckpt-$best, the first of the highest accuracy" test "$(cat "$ours/best")" = "ckpt-$best"
check 'it is said at the end' says "^best: $ours/best is ckpt-$best, validation accuracy [0-9.]+ %; newest: ckpt-60\$"
check 'nothing else is kept' test "$(find "$ours" -name 'ckpt-*' | wc -l)" -le 2
for which in best "ckpt-$best" last-good ckpt-60 .; do
    ends 0 "evaluating $which" starling-evaluate --data "$data" --model "$ours/$which"
    cp "$place/out" "$place/out.$(basename "$which")"
done
check 'best is the best' cmp "$place/out.best" "$place/out.ckpt-$best"
check 'last-good and the run are the newest' cmp "$place/out.last-good" "$place/out.ckpt-60"
check 'as is the run' cmp "$place/out.." "$place/out.ckpt-60"
check 'without validation there is none' trains 0 "$place/unvalidated" --epochs 1 --eval-every 0
check 'and no file' not test -e "$place/unvalidated/best"

# ---- another data set of equal counts ----
ends 0 'other images' starling-sample --output "$place/others" --classes 4 --per-class 12 --val-per-class 5 --size 16 --seed 2
ends 0 'prepared' starling-prepare --input "$place/others" --output "$place/other-data" --image-size 16 --images-per-file 20
data=$place/other-data
cp -R "$place/longer" "$place/longer.before"
check 'resuming with them' trains 78 "$place/longer" --epochs 5 --seed 7 --resume
check 'says what differs' says 'it has data-set [0-9a-f]{16} and this run [0-9a-f]{16}; resume with the same'
rm "$place/longer/log.jsonl" "$place/longer.before/log.jsonl" "$place/longer/lock" "$place/longer.before/lock"
check 'and leaves the run as it was' diff -r "$place/longer" "$place/longer.before"
data=$place/data

# ---- a folder of somebody else ----
for name in metrics.csv log.jsonl config.json; do
    foreign=$place/foreign-$name
    mkdir "$foreign"
    echo 'day,visitors' >"$foreign/$name"
    for how in '' --resume; do
        # shellcheck disable=SC2086 # an option or none
        check "a folder with a $name of others${how:+, $how}" trains 73 "$foreign" $how
        check 'is refused by name' says "$foreign/$name: not written by a training run"
    done
    check 'nothing else is there' test "$(ls "$foreign")" = "$name"
    check 'and it is as it was' grep -qx 'day,visitors' "$foreign/$name"
done
mkdir "$place/planted"
echo precious >"$place/target"
ln -s "$place/target" "$place/planted/config.json"
check 'a planted link as config.json' trains 73 "$place/planted" --max-steps 1
check 'its target is as it was' grep -qx precious "$place/target"
rm "$place/planted/config.json"
mkfifo "$place/planted/config.json"
check 'a FIFO there' trains 73 "$place/planted" --max-steps 1
rm "$place/planted/config.json"
check 'without them it is a run folder' trains 0 "$place/planted" --max-steps 1
mkdir -p "$place/planted/ckpt-9.tmp/a/b" "$place/planted/ckpt-9.retired.tmp"
echo x >"$place/planted/ckpt-9.tmp/a/b/c"
echo keep >"$place/planted/draft.tmp"
check 'a leftover that holds folders' trains 0 "$place/planted" --max-steps 2 --resume
check 'is gone' not test -e "$place/planted/ckpt-9.tmp"
check 'what is not ours stays' grep -qx keep "$place/planted/draft.tmp"

# ---- what an exchange keeps back ----
# Flushed after the last step and before that step is saved, whoever asks for a checkpoint first.
flushing='--exchange threshold --threshold 0.5 --min-density 1e-9 --flush-residual'
# shellcheck disable=SC2086 # a list of words
{
    check 'a run that flushes at its last step' trains 0 "$place/flushed" --max-steps 4 --eval-every 0 $flushing
    check 'the same, that step being one to save' trains 0 "$place/flushed2" --max-steps 4 --eval-every 0 $flushing --checkpoint-every 2
    check 'has the same weights' cmp "$place/flushed/ckpt-4/model.safetensors" "$place/flushed2/ckpt-4/model.safetensors"
    check 'without it they differ' trains 0 "$place/kept" --max-steps 4 --eval-every 0 ${flushing% *}
    check 'indeed' not cmp -s "$place/flushed/ckpt-4/model.safetensors" "$place/kept/ckpt-4/model.safetensors"
}

# ---- two at once ----
starts "$place/busy" --epochs 100000 --eval-every 0
waits_for "$place/busy" 2
first=$pid
mv "$place/err" "$place/first.err" # the first one goes on writing there
check 'a second run in one folder' trains 73 "$place/busy" --resume
check 'is told who is there' says "in use by pid $first"
kill -KILL "$first"
wait "$first" 2>/dev/null
check 'the lock of a dead run does not hold' trains 0 "$place/busy" --resume --max-steps 1
finish
