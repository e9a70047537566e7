#!/bin/sh
# A run that is killed, interrupted or stopped anywhere ends with the bits of a run that was left alone.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

# starts RUN OPTION...: as trains, in the background; its process is $pid.
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
    "$bin/train_tinyimagenet" --data "$data" --run "$started" --model "$here/tiny.json" "$@" \
        >"$place/out" 2>"$place/err" &
    pid=$!
}

# Waits until the run has logged that many records, or has ended.
waits_for() {
    while [ "$(grep -c '"event":"step"' "$1/log.jsonl" 2>/dev/null || :)" -lt "$2" ] 2>/dev/null && kill -0 "$pid" 2>/dev/null; do
        sleep 0.005
    done
    while [ ! -s "$1/log.jsonl" ] && kill -0 "$pid" 2>/dev/null; do sleep 0.005; done
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

# killed NAME UNBROKEN SIGNAL "STEPS..." "OPTIONS" "OPTIONS OF RESUMING": killed after each of these many more records, then resumed.
killed() {
    name=$1 unbroken=$2 signal=$3 steps=$4 options=$5 resuming=$6 broken=$place/$1 seen=0 deaths=0
    rm -rf "$broken"
    again=
    for more in $steps; do
        seen=$(grep -c '"event":"step"' "$broken/log.jsonl" 2>/dev/null || :)
        # shellcheck disable=SC2086 # lists of words
        starts "$broken" $options $again
        waits_for "$broken" $((${seen:-0} + more))
        kill -"$signal" "$pid" 2>/dev/null
        collects
        case $signal:$status in
        KILL:137 | *:75) deaths=$((deaths + 1)) ;;
        KILL:0 | *:0) ;; # it was faster
        *) fail "$name: exit $status after SIG$signal" ;;
        esac
        again="--resume $resuming"
    done
    check "$name: interrupted $deaths times" test "$deaths" -gt 0
    # shellcheck disable=SC2086 # lists of words
    check "$name: resumed to its end" trains 0 "$broken" $options --resume $resuming
    check "$name: the bits of the unbroken run" same_run "$broken" "$unbroken"
    check "$name: its metrics" same_metrics "$broken" "$unbroken"
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
check 'retention leaves one checkpoint' test "$(find "$place/kill9-each-step" -name 'ckpt-*' | wc -l)" -eq 1
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
starts "$place/long-broken" --epochs 2 --batch-size 4
waits_for "$place/long-broken" 2
kill -TERM "$pid"
collects
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
