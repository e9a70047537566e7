# shellcheck shell=sh
# Ground of the end-to-end scripts; each starts with `. "$(dirname "$0")/lib.sh"` and is run as `sh THEME.sh FOLDER_OF_PROGRAMS`.
# A check prints one line; a script ends with `finish`. Everything happens in one temporary folder, $place.
set -u
bin=$(cd "${1:?usage: THEME.sh FOLDER_OF_PROGRAMS}" && pwd) || exit 1
here=$(cd "$(dirname "$0")" && pwd) || exit 1
place=$(mktemp -d) || exit 1
place=$(cd "$place" && pwd -P)
failures=0
checks=0
trap 'rm -rf "$place"' EXIT
trap 'exit 1' INT TERM HUP
# Threads that wait for their turn must not burn the core that the others want.
export OMP_WAIT_POLICY=passive LC_ALL=C
unset SL_ISA SL_KERNEL SL_VERBOSE

pass() {
    checks=$((checks + 1))
    echo "ok      $*"
}

fail() {
    checks=$((checks + 1))
    failures=$((failures + 1))
    echo "FAILED  $*"
    for stream in out err; do
        [ ! -s "$place/$stream" ] || sed "s/^/        $stream: /" "$place/$stream" | cut -c 1-400 | head -n 20
    done
}

skip() {
    echo "skipped $*"
}

# check DESCRIPTION COMMAND...: the command must succeed.
check() {
    description=$1
    shift
    if "$@"; then pass "$description"; else fail "$description"; fi
}

# quietly STATUS PROGRAM ARGUMENT...: runs it, output in $place/out and $place/err; succeeds if it ends with that status, and no
# sanitizer had anything to say. STATUS may be a list: "65|66".
quietly() {
    expected=$1 program=$2
    shift 2
    status=0
    "$bin/$program" "$@" >"$place/out" 2>"$place/err" || status=$?
    ! grep -Eq 'Sanitizer|runtime error:' "$place/err" || return 1
    case "|$expected|" in
    *"|$status|"*) return 0 ;;
    esac
    echo "exit status $status, not $expected" >>"$place/err"
    return 1
}

# ends STATUS DESCRIPTION PROGRAM ARGUMENT...: a check of the exit status.
ends() {
    wanted=$1 description=$2
    shift 2
    if quietly "$wanted" "$@"; then pass "$description (exit $wanted)"; else fail "$description"; fi
}

# refuses STATUS PATTERN DESCRIPTION PROGRAM ARGUMENT...: that exit status, a line on stderr like PATTERN, nothing on stdout.
refuses() {
    wanted=$1 pattern=$2 description=$3
    shift 3
    if quietly "$wanted" "$@" && grep -Eq -- "$pattern" "$place/err" && [ ! -s "$place/out" ]; then
        pass "$description (exit $wanted)"
    else
        fail "$description; expected a line like: $pattern"
    fi
}

# The last run's streams.
says() { grep -Eq -- "$1" "$place/err"; }
prints() { grep -Eq -- "$1" "$place/out"; }
silent() { [ ! -s "$place/out" ]; }
lines() { [ "$(wc -l <"$2")" -eq "$1" ]; }
not() { ! "$@"; }

# The tiny data set: $data, of 4 classes, 48 + 20 images, 3 + 1 shards; its images in $place/images.
data=$place/data
make_data() {
    quietly 0 starling-sample --output "$place/images" --classes 4 --per-class 12 --val-per-class 5 --size 16 &&
        quietly 0 starling-prepare --input "$place/images" --output "$data" --image-size 16 --images-per-file 20 && return
    fail "the tiny data set"
    exit 1
}

# trains STATUS RUN OPTION...: the tiny network, 10 steps an epoch, one thread unless OPTION says otherwise.
trains() {
    wanted=$1 trained=$2
    shift 2
    case " $* " in
    *" --threads "*) ;;
    *) set -- --threads 1 "$@" ;;
    esac
    case " $* " in
    *" --model "*) ;;
    *) set -- --model "$here/tiny.json" "$@" ;;
    esac
    case " $* " in
    *" --batch-size "*) ;;
    *) set -- --batch-size 5 "$@" ;;
    esac
    quietly "$wanted" train_tinyimagenet --data "$data" --run "$trained" "$@"
}

# The newest checkpoint of a run.
newest() { echo "$1/$(cat "$1/last-good")"; }

# Two runs ended with the same bits of weights and updater state.
same_run() {
    for file in model.safetensors updater.safetensors; do
        cmp "$(newest "$1")/$file" "$(newest "$2")/$file" || return 1
    done
}

# flip FILE OFFSET: inverts one bit of one byte in place.
flip() {
    byte=$(od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %03o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

bytes() { wc -c <"$1" | tr -d ' '; }

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
    exit
}
