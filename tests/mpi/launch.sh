# shellcheck shell=sh disable=SC2034 # what the scripts use
# What the scripts here share: `. launch.sh` with $1 the folder of the programs and $2 openmpi or mpich. Gives `launch`,
# `start`, `check` and a folder $work; a launcher or a module that is not there is a skip (77).
bin=$1 library=$2
command -v "mpirun.$library" >/dev/null || { echo "skipped: no mpirun.$library"; exit 77; }
[ -e "$bin/libstarling_wire_$library.so" ] || { echo "skipped: built without the wire for $library"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# MPI libraries leak what they keep for the process.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"

# Runs the probe as $1 ranks; $rc is the launcher's exit code, $work/out what was said.
launch() {
    ranks=$1
    shift
    rc=0
    timeout 60 "mpirun.$library" -np "$ranks" "$bin/mpi_probe" "$@" >"$work/out" 2>&1 || rc=$?
}

# Starts $1 ranks of the program $2 that step for ever, as $job, and returns when all do.
start() {
    started=$1
    rm -rf "$work/ranks"
    mkdir "$work/ranks"
    timeout 60 "mpirun.$library" -np "$started" "$bin/$2" steps "$work/ranks" >"$work/out" 2>&1 &
    job=$!
    for _ in $(seq 200); do
        [ "$(find "$work/ranks" -type f -size +0 | wc -l)" -lt "$started" ] || return 0
        sleep 0.1
    done
    echo "the ranks do not step"
    cat "$work/out"
    exit 1
}

process() { cat "$work/ranks/$1"; }

# Is the process of rank $1 there? Those that nobody has buried yet are not.
lives() { grep -q '^State:[^Z]*$' "/proc/$(process "$1")/status" 2>/dev/null; }

# Waits for $job: $rc, and $seconds it took.
end_job() {
    begin=$(date +%s)
    rc=0
    wait "$job" || rc=$?
    seconds=$(($(date +%s) - begin))
}

none_left() {
    for _ in $(seq 20); do
        living=0
        for rank in $(seq 0 $((started - 1))); do
            ! lives "$rank" || living=$((living + 1))
        done
        [ $living -gt 0 ] || return 0
        sleep 0.1
    done
    return 1
}

# MPICH's launcher (4.0) returns 9, that of the ranks it kills, about once in twenty aborts: what it learns first counts.
handed_out() {
    [ "$rc" -eq "$1" ] || { [ "$library" = mpich ] && [ "$rc" -eq 9 ]; }
}

# And 1 where a rank was stopped: what that rank ends with, if the system hangs up its group before it is killed.
handed_out_past_a_stop() {
    handed_out "$1" || { [ "$library" = mpich ] && [ "$rc" -eq 1 ] && says 'Hangup \(signal 1\)'; }
}

# check WHAT COMMAND...: the command must succeed.
check() {
    what=$1
    shift
    "$@" || { echo "FAILED: $what (rc $rc)"; cat "$work/out"; failed=1; }
}

says() { grep -qE "$1" "$work/out"; }
