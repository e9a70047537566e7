#!/bin/sh
# --profile: the table at a run's end, and a run that is the same but for it.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

table() { sed -n '/^profile: /,$p' "$place/err"; }
sums() { table | awk '$1 == "sum"'; }
# The sums are all of a step, the kernels' lines two of the sums.
whole() { sums | awk '{ all += $NF } END { exit !(all > 99.9 && all < 100.1) }'; }
kernels() { table | awk 'NR > 2 && $1 != "sum" { all += $NF } /kernels|convolutions/ { sum += $NF }
    END { exit !(sum > 0 && all > sum - 0.5 && all < sum + 0.5) }'; }

check 'a run without a profile' trains 0 "$place/plain" --max-steps 3
check 'it prints no table' not says '^profile: '
check 'a run with a profile' trains 0 "$place/profiled" --max-steps 3 --profile
check 'the table says how many steps it is of' says '^profile: 3 steps of [0-9.]+ ms$'
check 'a convolution has a line for each pass' says '^conv1 +conv2d_bwd_data +[a-z0-9_]+ +[0-9.]+ +[0-9.]+$'
check 'so has the updater' says '^- +amsgrad_step +[a-z0-9_]+ +[0-9.]+ +[0-9.]+$'
check 'four sums' test "$(sums | wc -l)" -eq 4
check 'the sums are the whole step' whole
check 'the kernels are what their lines say' kernels
check 'stdout has the run alone' test "$(cat "$place/out")" = "$place/profiled"
check 'both runs end in the same bits' same_run "$place/plain" "$place/profiled"
check 'a run that has nothing left to do' trains 0 "$place/profiled" --max-steps 3 --profile --resume
check 'it prints no table of no steps' not says '^profile: '
finish
