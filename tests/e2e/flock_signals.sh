#!/bin/sh
# Signals to the launcher, and ranks that are killed or stopped: all save at one step (75), or the job ends by itself, says
# who it was, and leaves nobody behind.
# shellcheck disable=SC2317,SC2154 # functions that check calls; what lib.sh and ranks.sh give
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/ranks.sh
. "$here/ranks.sh"
make_data
step_of() { sed 's/ckpt-//' "$1/last-good"; }
# goes_on RUN OPTION...: the run, which was stopped, ends with the bits of one that was left alone. 40 steps more.
goes_on() {
    stopped=$1 end=$(($(step_of "$1") + 40))
    shift
    check 'resumed' trains_as "$ranks" 0 "$stopped" --epochs 100000 --eval-every 0 --resume --max-steps $end "$@"
    check 'unbroken' trains_as "$ranks" 0 "$stopped.unbroken" --epochs 100000 --eval-every 0 --max-steps $end "$@"
    check 'the bits of the unbroken run' same_ranks "$stopped" "$stopped.unbroken"
}

# ---- SIGUSR1 to the launcher ----
for exchange in threshold dense; do
    begins_training 3 "$place/asked-$exchange" --exchange $exchange
    waits_for_steps 5
    kill -USR1 "$pid"
    check "SIGUSR1 to the launcher ends 3 ranks, $exchange" soon 20
    check "with 75 ($status)" is_asked 75
    check 'told once' once '^train_tinyimagenet: stopped by SIGUSR1 after [0-9]+ steps; the checkpoint is saved, go on with --resume$'
    check 'saved at the step that is told' says "after $(step_of "$place/asked-$exchange") steps"
    check 'by all ranks' of_ranks 3 "$place/asked-$exchange"
    check 'nobody is left' none_left
    goes_on "$place/asked-$exchange" --exchange $exchange
done
# One rank alone is asked: all stop.
begins_training 2 "$place/one-asked"
waits_for_steps 5
kill -TERM "$(rank 1)"
check 'SIGTERM to one rank ends all' soon 20
check "with 75 ($status)" is_asked 75
check 'saved' test -s "$place/one-asked/last-good"
# While it is being opened.
asks_while_opening() {
    rm -rf "$place/opening-$1"
    begins_training 2 "$place/opening-$1"
    case $1 in
    1) waits_for test -e "$place/ranks/rank-1" ;;
    2) waits_for test -d "$place/opening-$1" ;;
    3) waits_for test -e "$place/opening-$1/log.jsonl" ;;
    4) waits_for test -e "$place/opening-$1/config.json" ;;
    esac
    [ "$1" -ne 1 ] || sleep 0.05 # the program, not yet its shell
    kill -USR1 "$pid"
    soon 20 || :
}
# Open MPI's launcher (4.1) may lose a rank that ends while it still connects: it says so, and waits for ever. Then the moment
# is tried once more.
loses_a_rank() { [ "$library" = openmpi ] && [ "$in_time" -eq 0 ] && says 'PMIX ERROR: UNREACHABLE'; }
for moment in 1 2 3 4; do
    asks_while_opening "$moment"
    ! loses_a_rank || { echo 'again   the launcher has lost a rank'; asks_while_opening "$moment"; }
    check "SIGUSR1 while opening ends it ($moment)" [ "$in_time" -gt 0 ]
    check "with 75 ($status)" is_asked '75|138' # 138: before the program was one
    check 'nobody is left' none_left
    check 'what it left does not stop the next' trains_as 2 0 "$place/opening-$moment" --resume --max-steps 3
done
# While validating: 2 steps, then 6,000 images.
ends 0 'images with a long validation' starling-sample --output "$place/long-images" --classes 4 --per-class 3 --val-per-class 1500 --size 16
ends 0 'prepared' starling-prepare --input "$place/long-images" --output "$place/long" --image-size 16
short=$data data=$place/long
check 'unbroken' trains_as 2 0 "$place/validated" --epochs 2
rounds=0 status=1
until is_asked 75 && says 'stopped by' && lines 1 "$place/validating/metrics.csv" || [ "$rounds" -eq 10 ]; do
    rm -rf "$place/validating"
    begins 2 train_tinyimagenet --data "$data" --run "$place/validating" --model "$network" --threads 1 --batch-size 3 --epochs 2
    started=$place/validating
    waits_for_steps 2
    kill -USR1 "$pid"
    soon 30
    rounds=$((rounds + 1))
done
check "SIGUSR1 while validating: 75 ($status)" is_asked 75
check 'the epoch has no row yet' lines 1 "$place/validating/metrics.csv"
check 'resumed' trains_as 2 0 "$place/validating" --epochs 2 --resume
check 'the bits of the unbroken run' same_ranks "$place/validating" "$place/validated"
data=$short

# ---- a rank that is killed ----
for killed in 0 2; do
    begins_training 3 "$place/killed-$killed" --checkpoint-every 7
    waits_for_steps 20
    kill -KILL "$(rank $killed)"
    check "killing rank $killed ends the job" soon 30
    check "within 10 s ($seconds)" [ "$seconds" -lt 10 ]
    check "with another status than 0 ($status)" [ "$status" -ne 0 ]
    check 'nobody is left' none_left
    [ "$killed" -eq 0 ] || goes_on "$place/killed-$killed" --checkpoint-every 7
done

# ---- a rank that is stopped: in epochs of 800 steps, so that it is not while it saves ----
# MPICH's launcher (4.0) may return what the stopped rank ends with, if the system hangs up its group first.
hangs_up() { [ "$library" = mpich ] && [ "$status" -eq 1 ] && prints 'Hangup \(signal 1\)'; }
stops_with_74() { is_status 74 || hangs_up; }
ends 0 'many images' starling-sample --output "$place/many-images" --classes 4 --per-class 600 --val-per-class 1 --size 16
ends 0 'prepared' starling-prepare --input "$place/many-images" --output "$place/many" --image-size 16
data=$place/many
begins_training 3 "$place/stopped" --step-limit 3 --batch-size 1
waits_for_steps 5
kill -STOP "$(rank 2)"
check 'a rank that is stopped for ever ends the job' soon 30
check "within the limit ($seconds)" [ "$seconds" -lt 15 ]
check "with 74 ($status)" stops_with_74
check 'and is named' says 'rank [01] on [^ ]+ has waited [0-9.]+ s in training, step [0-9]+, for rank 2 on [^ ]+: (never heard|not heard for [0-9.]+ s)'
check 'nobody is left' none_left
begins_training 2 "$place/paused" --batch-size 1
waits_for_steps 5
kill -STOP "$(rank 1)"
sleep 1
kill -CONT "$(rank 1)"
seen=$(grep -c '"event":"step"' "$place/paused/log.jsonl")
waits_for_steps $((seen + 5))
check 'a rank that is stopped for a moment goes on' steps $((seen + 5))
kill -USR1 "$pid"
check 'and stops' soon 20
check "with 75 ($status)" is_asked 75
finish
