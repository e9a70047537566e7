# shellcheck shell=sh disable=SC2034,SC2154 # what lib.sh gives and what the scripts use
# Ground of the scripts that run programs as ranks of one job: `. lib.sh`, then `. ranks.sh`; each is run as
# `sh flock_THEME.sh FOLDER_OF_PROGRAMS openmpi|mpich`. A launcher or a module that is not there is a skip (77).
library=${2:?usage: flock_THEME.sh FOLDER_OF_PROGRAMS openmpi|mpich}
command -v "mpirun.$library" >/dev/null || { echo "skipped: no mpirun.$library"; exit 77; }
[ -e "$bin/libstarling_wire_$library.so" ] || { echo "skipped: built without the wire for $library"; exit 77; }
# MPI libraries leak what they keep for the process.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
# Ranks share the cores; and Open MPI's launcher would rest a second whenever one of them ends with an error.
export OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_odls_base_sigkill_timeout=0
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"
unset SL_WIRE SL_MODULE_PATH
network=$here/tiny.json

# The status that a rank asks for is the launcher's. Where one rank ends the job, MPICH's launcher (4.0) may return 9 instead,
# that of the ranks it kills, if it learns of those first. What ranks agree about (76, 78, 79) they end with in order.
is_status() {
    case "|$1|" in
    *"|$status|"*) return 0 ;;
    esac
    case $1 in 0 | 76 | 78 | 79) return 1 ;; esac
    [ "$library" = mpich ] && [ "$status" -eq 9 ]
}

# The launcher's status after a signal to it. MPICH's (4.0) sometimes says 0 whatever its ranks say.
is_asked() { is_status "$1" || { [ "$library" = mpich ] && [ "$status" -eq 0 ]; }; }

# launches STATUS ARGUMENT_OF_MPIRUN...: as lib.sh's quietly.
launches() {
    expected=$1 status=0
    shift
    timeout 120 "mpirun.$library" "$@" >"$place/out" 2>"$place/err" </dev/null || status=$?
    ! grep -Eq 'Sanitizer|runtime error:' "$place/err" || return 1
    ! is_status "$expected" || return 0
    echo "exit status $status, not $expected" >>"$place/err"
    return 1
}

# trains_as RANKS STATUS RUN OPTION...: as lib.sh's trains.
trains_as() {
    ranks=$1 wanted=$2 trained=$3
    shift 3
    case " $* " in
    *" --batch-size "*) ;;
    *) set -- --batch-size 3 "$@" ;;
    esac
    case " $* " in
    *" --model "*) ;;
    *) set -- --model "$network" "$@" ;;
    esac
    launches "$wanted" -np "$ranks" "$bin/train_tinyimagenet" --data "$data" --run "$trained" --threads 1 "$@"
}

# What each rank becomes: it writes down its process, and takes what rank-R.env holds into its environment.
mkdir "$place/ranks"
cat >"$place/rank.sh" <<'SH'
rank=${OMPI_COMM_WORLD_RANK:-${PMI_RANK:?no launcher}}
folder=$1
shift
echo $$ >"$folder/rank-$rank.new" && mv "$folder/rank-$rank.new" "$folder/rank-$rank"
[ ! -e "$folder/env-$rank" ] || exec env $(cat "$folder/env-$rank") "$@"
exec "$@"
SH

# begins RANKS PROGRAM ARGUMENT...: in the background, for soon, waits_for and rank. The launcher is $pid.
begins() {
    ranks=$1 program=$2
    shift 2
    rm -f "$place"/ranks/rank-*
    : >"$place/err"
    "mpirun.$library" -np "$ranks" sh "$place/rank.sh" "$place/ranks" "$bin/$program" "$@" >"$place/out" 2>"$place/err" </dev/null &
    pid=$!
}

# begins_training RANKS RUN OPTION...: a run without an end.
begins_training() {
    ranks=$1 started=$2
    shift 2
    case " $* " in
    *" --batch-size "*) ;;
    *) set -- --batch-size 3 "$@" ;;
    esac
    begins "$ranks" train_tinyimagenet --data "$data" --run "$started" --model "$network" --threads 1 \
        --epochs 100000 --log-every 0 --eval-every 0 "$@"
}

# The process of a rank; does it live? Those that nobody has buried yet do not.
rank() { cat "$place/ranks/rank-$1"; }
lives() { grep -q '^State:[^Z]*$' "/proc/$(rank "$1")/status" 2>/dev/null; }
none_left() {
    for moment in $(seq 50); do
        left=0
        for each in "$place"/ranks/rank-*; do ! lives "${each##*-}" || left=1; done
        [ "$left" -eq 1 ] || return 0
        sleep 0.1
    done
    return 1
}

# waits_for COMMAND...: until it succeeds, the job has ended, or a minute has passed.
waits_for() {
    tries=1200
    until "$@" 2>/dev/null || ! kill -0 "$pid" 2>/dev/null || [ "$tries" -eq 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
}
steps() { [ "$(grep -c '"event":"step"' "$started/log.jsonl")" -ge "$1" ]; }
waits_for_steps() { waits_for steps "$1"; }
waits_for_text() { waits_for grep -q "$1" "$place/err"; }
collects() {
    status=0
    wait "$pid" 2>/dev/null || status=$?
}
# soon SECONDS: it ends by itself within that time; else it is made to. $seconds: how long it took.
soon() {
    begun=$(date +%s) tries=$(($1 * 20))
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -gt 0 ]; do
        sleep 0.05
        tries=$((tries - 1))
    done
    in_time=$tries
    if [ "$in_time" -eq 0 ]; then
        for each in "$place"/ranks/rank-*; do kill -KILL "$(cat "$each")" 2>/dev/null; done
        kill -KILL "$pid" 2>/dev/null
    fi
    collects
    seconds=$(($(date +%s) - begun))
    [ "$in_time" -gt 0 ]
}

# Two runs ended with the same bits on all ranks: weights, updaters, residuals, statistics.
same_ranks() {
    (cd "$(newest "$1")" && cksum ./*.safetensors) >"$place/sums-1" &&
        (cd "$(newest "$2")" && cksum ./*.safetensors) >"$place/sums-2" && cmp "$place/sums-1" "$place/sums-2"
}

# of_ranks NUMBER RUN: the newest checkpoint has a file of each of so many.
of_ranks() { [ "$(find "$(newest "$2")" -name 'rank-*' | wc -l)" -eq "$1" ]; }

# once PATTERN: exactly one line on stderr is like it.
once() { [ "$(grep -Ec -- "$1" "$place/err")" -eq 1 ]; }
