#!/bin/sh
# shellcheck disable=SC2016 # awk programs
# The main job from end to end: what each program writes, where it writes it, and that the programs agree.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data
run=$place/run

# Without python3 the shape of the lines is looked at, by the same names.
is_json() {
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; json.load(open(sys.argv[1]))' "$1"
    else
        [ "$(head -c 1 "$1")" = '{' ] && [ "$(tail -c 2 "$1" | tr -d '\n')" = '}' ]
    fi
}
are_json_lines() {
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; assert all(isinstance(json.loads(x), dict) for x in open(sys.argv[1]))' "$1"
    else
        ! grep -Evq '^\{".*\}$' "$1"
    fi
}
counts() { [ "$(grep -c -- "$2" "$3")" -eq "$1" ]; }

# near TOLERANCE A B: tables of key, class, words, probability...; same texts, probabilities to the tolerance.
near() {
    paste "$2" "$3" | awk -F '\t' -v tolerance="$1" '
        { half = NF / 2 }
        NR == 1 { next }
        { for (i = 1; i <= half; i++) {
              number = i > 1 && i % 3 == 1
              d = $i - $(half + i)
              if (number ? (d > tolerance || d < -tolerance) : ($i != $(half + i))) exit bad = 1
          } }
        END { exit bad || NR < 2 }'
}

# ---- training ----
check 'training ends well' trains 0 "$run" --epochs 3 --seed 7 --log-every 5 --threads 2
check 'stdout holds the run folder alone' test "$(cat "$place/out")" = "$run"
check 'progress and epochs go to stderr' says '^epoch 3/3 '
check 'the performance line' says '^ETL: [0-9]+ ms; iteration 30; iteration time: .* samples/sec: .* score: '
check 'metrics.csv: a header and a row per epoch' lines 4 "$run/metrics.csv"
check 'metrics.csv: nine fields a row' test -z "$(awk -F , 'NF != 9' "$run/metrics.csv")"
check 'log.jsonl is JSON' are_json_lines "$run/log.jsonl"
check 'log.jsonl: a record per step' counts 30 '"event":"step"' "$run/log.jsonl"
check 'log.jsonl: a record per epoch' counts 3 '"event":"epoch"' "$run/log.jsonl"
check 'config.json is JSON' is_json "$run/config.json"
for setting in '"seed": 7' '"epochs": 3' '"batch-size": 5' '"threads": 2' '"optimizer": "amsgrad"' '"flip": false' '"weight-decay": 0.0001' \
    '"lr-schedule": "0:8e-3,1:6e-3,3:3e-3,5:1e-3,7:5e-4"' '"version": "[0-9.]*"' "\"data\": \"$data\"" "\"model\": \"$here/tiny.json\"" \
    '"ranks": 1,' '"exchange": "none",' '"max-skips": 0,' '"start-limit": 600'; do
    check "config.json has $setting" grep -q "^  $setting" "$run/config.json"
done
check 'last-good names the checkpoint of step 30' test "$(cat "$run/last-good")" = ckpt-30
check 'no temporary files are left' test -z "$(find "$run" -name '*.tmp')"
check 'a run of one epoch without validation' trains 0 "$place/novalid" --epochs 1 --eval-every 0 --quiet
check '--quiet: no progress' not says 'images/s  loss .* left'
check 'a constant rate is recorded as a schedule' trains 0 "$place/rate" --lr 0.5 --max-steps 1
check 'and as itself' test "$(grep -Ec '"lr(-schedule)?": "?0.5"?' "$place/rate/config.json")" -eq 2
check 'metrics.csv: empty fields where nothing was measured' grep -Eq '^0,10,[0-9.]+,,,,' "$place/novalid/metrics.csv"

# ---- dry run ----
check 'a dry run ends well' trains 0 "$place/dry" --dry-run
check 'it prints the network on stdout' prints 'conv0'
check 'it creates nothing' not test -e "$place/dry"
ends 0 'the dry run of the default network' train_tinyimagenet --data "$place/data" --run "$place/dry" --dry-run
check 'its parameters: 1,077,160 less 196 classes of 513' prints '^total +976612$'

# ---- evaluating ----
ends 0 'evaluating a run' starling-evaluate --data "$place/data" --model "$run" --top 2 --confusion "$place/confusion.csv"
cp "$place/out" "$place/evaluation"
for line in '^# of classes +4$' '^# of samples +20$' '^Accuracy +[01]\.[0-9]{4}$' '^Top 2 accuracy +[01]\.' '^Precision ' '^Recall ' \
    '^F1 score ' '^Mean loss '; do
    check "the evaluation has a line $line" prints "$line"
done
check 'its speed is on stderr' says 'images/s'
check 'DL4J averages stand beside the usual ones' prints '^DL4J precision +[01]\.[0-9]{4}'
check 'the confusion matrix: a header and 4 rows' lines 5 "$place/confusion.csv"
check 'the confusion matrix counts 20 images' test "$(awk -F , 'NR > 1 { for (i = 2; i <= NF; i++) n += $i } END { print n }' \
    "$place/confusion.csv")" = 20
for model in "$run/ckpt-30" "$run/ckpt-30/model.safetensors"; do
    ends 0 "evaluating ${model#"$place"/}" starling-evaluate --data "$place/data" --model "$model" --top 2
    check 'it is the same evaluation' cmp "$place/out" "$place/evaluation"
done
ends 0 'evaluating in batches of 1 on 2 threads' starling-evaluate --data "$place/data" --model "$run" --top 2 --batch-size 1 --threads 2
check 'it is the same evaluation' cmp "$place/out" "$place/evaluation"
ends 0 'evaluating the training split' starling-evaluate --data "$place/data" --model "$run" --split train
check 'it has 48 images' prints '^# of samples +48$'

ends 0 'evaluating as JSON' starling-evaluate --data "$place/data" --model "$run" --top 2 --json
check 'it is one JSON object in one line' lines 1 "$place/out"
check 'and valid' is_json "$place/out"
# number LABEL: of the report; field NAME: the first of that name in the object.
number() { sed -n "s/^$1  *//p" "$place/evaluation"; }
field() { grep -o "\"$1\":[-0-9.e]*" "$place/out" | head -n 1 | cut -d : -f 2; }
for pair in Accuracy:accuracy Precision:precision Recall:recall 'F1 score:f1' MCC:mcc 'Mean loss:mean_loss' 'DL4J G-measure:g_measure'; do
    check "it says of ${pair%:*} what the report says" test "$(printf %.4f "$(field "${pair#*:}")")" = "$(number "${pair%:*}")"
done

# ---- predicting ----
ends 0 'predicting a data set' starling-predict --data "$place/data" --model "$run" --threads 1
cp "$place/out" "$place/table"
check 'a header and a line per image' lines 21 "$place/table"
check 'the header' prints '^key	class1	words1	probability1	class2	words2	probability2	class3	words3	probability3	class4	words4	probability4$'
check 'the words of a class stand beside it' test "$(cut -f 2,3 "$place/table" | tail -n +2 | LC_ALL=C sort -u | \
    grep -vcxFf "$place/images/words.txt")" -eq 0
check 'the probabilities of an image sum to 1 and descend' awk -F '\t' '
    NR > 1 { sum = $4 + $7 + $10 + $13; if (sum < 0.99999 || sum > 1.00001 || $4 < $7 || $7 < $10 || $10 < $13) bad = 1 } END { exit bad }' \
    "$place/table"
check 'all else is on stderr, and there is nothing' not test -s "$place/err"

# The annotations of the original layout tell the classes: FILE, TAB, ID.
right=$(awk -F '\t' 'NR == FNR { sub(/\.JPEG$/, "", $1); class[$1] = $2; next } FNR > 1 { n += class[$1] == $2 } END { printf "%.4f", n / (FNR - 1) }' \
    "$place/images/val/val_annotations.txt" "$place/table")
check "evaluate's accuracy follows from predict's table ($right)" grep -Eq "^Accuracy +$right\$" "$place/evaluation"

ends 0 'predicting in batches of 1' starling-predict --data "$place/data" --model "$run" --threads 1 --batch-size 1
check 'the same to 1e-5' near 0.00001 "$place/out" "$place/table"
ends 0 'predicting on 2 threads' starling-predict --data "$place/data" --model "$run" --threads 2
check 'the same bits' cmp "$place/out" "$place/table"
for isa in ref avx2 avx512 amx; do
    SL_ISA=$isa
    export SL_ISA
    ends 0 "predicting with SL_ISA=$isa" starling-predict --data "$place/data" --model "$run" --threads 1
    unset SL_ISA
    sort "$place/table" >"$place/table.sorted"
    sort "$place/out" >"$place/out.sorted"
    check 'the same to 1e-4' near 0.0001 "$place/out.sorted" "$place/table.sorted"
done

ends 0 'predicting as JSON' starling-predict --data "$place/data" --model "$run" --json --top 2
cp "$place/out" "$place/json"
check 'a line per image' lines 20 "$place/json"
check 'each is JSON' are_json_lines "$place/json"
check 'with key, class, words and probability, twice' counts 20 \
    '^{"key":"[^"]*","top":\[{"class":"[^"]*","words":"[^"]*","probability":[0-9.e-]*},{"class":"[^"]*","words":"[^"]*","probability":[0-9.e-]*}\]}$' \
    "$place/json"

find "$place/images/val" -name '*.JPEG' | sort | head -n 7 >"$place/list"
ends 0 'predicting a list' starling-predict --model "$run" --list "$place/list" --top 1 --batch-size 3
cp "$place/out" "$place/listed"
check 'a header and a line per image, in the order of the list' test "$(cut -f 1 "$place/listed" | tail -n +2)" = "$(cat "$place/list")"
check 'an image predicts like its sample in the data set' awk -F '\t' '
    NR == FNR { class[$1] = $2; p[$1] = $4; next }
    FNR > 1 { n = split($1, part, "/"); key = part[n]; sub(/\.JPEG$/, "", key); if (class[key] != $2 || p[key] != $4) bad = 1 }
    END { exit bad }' "$place/table" "$place/listed"
"$bin/starling-predict" --model "$run" --list - --top 1 --batch-size 3 <"$place/list" >"$place/out" 2>"$place/err"
check '--list - reads standard input' cmp "$place/out" "$place/listed"
# shellcheck disable=SC2046 # a list of words
ends 0 'predicting arguments' starling-predict --model "$run" --top 1 --batch-size 3 $(cat "$place/list")
check 'the same lines' cmp "$place/out" "$place/listed"
ends 0 '--output' starling-predict --model "$run" --list "$place/list" --top 1 --batch-size 3 --output "$place/predictions.tsv"
check 'stdout stays empty' silent
check 'the same lines' cmp "$place/predictions.tsv" "$place/listed"
ends 0 '--top 99 of 4 classes' starling-predict --model "$run" --list "$place/list" --top 99
check 'gives 4' test "$(head -n 1 "$place/out" | awk -F '\t' '{ print NF }')" -eq 13
: >"$place/empty"
ends 0 'an empty list' starling-predict --model "$run" --list "$place/empty"
check 'gives the header alone' lines 1 "$place/out"
finish
