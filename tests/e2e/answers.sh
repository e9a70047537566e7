#!/bin/sh
# shellcheck disable=SC2016 # awk programs
# What evaluate and predict say of unusual models, names and lists: ties, NaN, inputs that are no image, slow and endless
# lists, bad images, readers that leave.
# shellcheck disable=SC2317 # functions that check calls
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_data

# ---- models made here: a 1x1 convolution of 4 filters, the average of the image, softmax ----
bytes_of() { # VALUE: its 8 bytes, the lowest first, as printf wants them
    value=$1
    for _ in 1 2 3 4 5 6 7 8; do
        printf '\\%03o' $((value % 256))
        value=$((value / 256))
    done
}
repeat() { # COUNT BYTES
    n=0
    while [ $n -lt "$1" ]; do
        # shellcheck disable=SC2059 # the bytes are a format
        printf "$2"
        n=$((n + 1))
    done
}
classes='{"id":"n90000001","words":"a"},{"id":"n90000002","words":"b"},{"id":"n90000003","words":"c"},{"id":"n90000004","words":"d"}'
# make_model FILE HEIGHT WIDTH CHANNELS WEIGHT BIAS: each weight and bias is the 4 bytes of that float.
make_model() {
    model='{"format":1,"network":{"name":"m","input":{"height":'$2',"width":'$3',"channels":'$4'},"layers":[
        {"name":"c","type":"conv2d","filters":4,"kernel":[1,1],"padding":"same","bias":true},
        {"name":"p","type":"average_pool","global":true},{"name":"loss","type":"softmax_nll"}]},"classes":['$classes'],
        "pixels":{"range":"unit","mean":[0,0,0],"deviation":[1,1,1]}}'
    text=$(printf %s "$model" | tr '\n' ' ' | sed 's/[\\"]/\\&/g')
    header='{"__metadata__":{"starling":"'$text'"},"c.weight":{"dtype":"F32","shape":[4,1,1,'$4'],"data_offsets":[0,'$((16 * $4))']},"c.bias":{"dtype":"F32","shape":[4],"data_offsets":['$((16 * $4))','$((16 * $4 + 16))']}}'
    while [ $((${#header} % 8)) -ne 0 ]; do header="$header "; done
    {
        # shellcheck disable=SC2059 # the bytes are a format
        printf "$(bytes_of ${#header})"
        printf %s "$header"
        repeat $((4 * $4)) "$5"
        repeat 4 "$6"
    } >"$1"
}
zero='\0\0\0\0' nan='\0\0\300\177' huge='\0\0\0\177' # 0, NaN, 1.7e38
make_model "$place/even" 16 16 3 "$zero" "$zero"
make_model "$place/nan" 16 16 3 "$zero" "$nan"
make_model "$place/huge" 16 16 3 "$huge" "$zero"
make_model "$place/wide" 16 64 3 "$zero" "$zero"
make_model "$place/grey" 16 16 1 "$zero" "$zero"
make_model "$place/vast" 1025 1025 3 "$zero" "$zero"
find "$place/images/val" -name '*.JPEG' | sort >"$place/list"
first=$(sed -n 1p "$place/list") second=$(sed -n 2p "$place/list") third=$(sed -n 3p "$place/list")

# ---- ties: a model that says the same of everything ----
for top in 1 2 3 4; do
    ends 0 "predicting with the even model, --top $top" starling-predict --data "$data" --model "$place/even" --top $top
    cp "$place/out" "$place/table"
    right=$(awk -F '\t' 'NR == FNR { sub(/\.JPEG$/, "", $1); class[$1] = $2; next }
        FNR > 1 { rows++; for (i = 2; i < NF; i += 3) n += $i == class[$1] } END { printf "%.4f", n / rows }' \
        "$place/images/val/val_annotations.txt" "$place/table")
    ends 0 'evaluating it' starling-evaluate --data "$data" --model "$place/even" --top $top
    label="Top $top accuracy"
    [ $top -gt 1 ] || label=Accuracy
    check "top $top is what predict's rows say: $right" prints "^$label +$right\$"
done
check 'the first classes come first' test "$(awk -F '\t' 'NR > 1 { print $2, $5, $8, $11 }' "$place/table" | sort -u)" = \
    'n90000001 n90000002 n90000003 n90000004'
check 'one class of four is right' prints '^Accuracy +0\.2500$'
check 'its precision is not flattered: (5/20 + 0 + 0 + 0) / 4' prints '^Precision +0\.0625$'
check "DL4J's stands beside it: 5/20" prints '^DL4J precision +0\.2500 +\(3 classes excluded'

# ---- numbers that are none ----
for program in starling-predict starling-evaluate; do
    refuses 79 "$place/nan: tensor \"c.bias\" holds NaN" "$program: a model with NaN weights" $program --data "$data" --model "$place/nan"
    ends 79 "$program: a model that overflows" "$program" --data "$data" --model "$place/huge"
    check 'names the sample' says "$program: [a-z0-9_]+: the model's probabilities are not finite"
    check 'and prints no number of it' not prints 'nan|inf|"top":\[\]'
done
ends 79 'predicting an image with a model that overflows' starling-predict --model "$place/huge" --json --output "$place/none" "$first"
check 'names the image' says "$first: the model's probabilities are not finite"
check 'and leaves no file' test -z "$(find "$place" -maxdepth 1 -name 'none*')"

# ---- inputs that are no image ----
for case in 'wide:16 x 64 x 3' 'grey:16 x 16 x 1' 'vast:1025 x 1025 x 3'; do
    for program in starling-predict starling-evaluate; do
        refuses 78 "$place/${case%:*}: the model's input is ${case#*:}; images are loaded as squares of three channels" \
            "$program: an input of ${case#*:}" $program --data "$data" --model "$place/${case%:*}"
    done
    refuses 78 "${case#*:}" 'and of files' starling-predict --model "$place/${case%:*}" "$first"
done
refuses 69 'needs .* and the limit is' 'starling-predict: a memory limit' starling-predict --model "$place/even" --memory-limit 1K "$first"

# ---- bad images: what came before them stands ----
echo text >"$place/bad.jpg"
for size in 1 2 32; do
    ends 65 "a bad third image in batches of $size" starling-predict --model "$place/even" --top 1 --batch-size $size "$first" "$second" \
        "$place/bad.jpg" "$third"
    check 'the rows before it are there' test "$(cut -f 1 "$place/out")" = "$(printf 'key\n%s\n%s' "$first" "$second")"
    check 'and it is named' says "^starling-predict: $place/bad.jpg: not a JPEG"
done
ends 65 'with --output' starling-predict --model "$place/even" --output "$place/rows" "$first" "$place/bad.jpg"
check 'there is no file' test -z "$(find "$place" -maxdepth 1 -name 'rows*')"
echo old >"$place/rows"
ends 65 'with --output of a file that is there' starling-predict --model "$place/even" --output "$place/rows" "$first" "$place/bad.jpg"
check 'it is as it was' grep -qx old "$place/rows"
ln -s rows "$place/link"
ends 0 'with --output of a link' starling-predict --model "$place/even" --top 1 --output "$place/link" "$first"
check 'the link stays' test -h "$place/link"
check 'and its file is replaced' lines 2 "$place/rows"
"$bin/starling-predict" --model "$place/even" --top 1 --output /dev/stdout "$second" >>"$place/rows" 2>"$place/err"
check '--output /dev/stdout appends where the shell appends' lines 4 "$place/rows"

# ---- places are looked at before the work: the model is missing too ----
refuses 73 "$place/absent/rows: cannot create" '--output first' starling-predict --model "$place/absent" --output "$place/absent/rows" "$first"
refuses 73 "$place/absent/c.csv: cannot create" '--confusion first' starling-evaluate --data "$data" --model "$place/absent" \
    --confusion "$place/absent/c.csv"

# ---- lists ----
mkfifo "$place/paths" "$place/rows.fifo"
"$bin/starling-predict" --model "$place/even" --top 1 --list - <"$place/paths" >"$place/rows.fifo" 2>"$place/err" &
predicting=$!
exec 8>"$place/paths" 9<"$place/rows.fifo"
answer() {
    row=$(timeout 60 head -n 1 <&9) && test "${row%%	*}" = "$1"
}
check 'a slow list: the header' answer key
echo "$first" >&8
check 'the row of the first path, while the list is open' answer "$first"
printf '%s\n%s' "$second" "${third%.JPEG}" >&8
check 'the row of the second, while the third is half written' answer "$second"
echo .JPEG >&8
check 'the row of the third' answer "$third"
exec 8>&-
wait $predicting
check 'and an end (exit 0)' test $? -eq 0
exec 9<&-

predict_list() { # STATUS FILE OPTION...
    wanted=$1 input=$2
    shift 2
    status=0
    "$bin/starling-predict" --model "$place/even" --top 1 --list - "$@" <"$input" >"$place/out" 2>"$place/err" || status=$?
    [ "$status" -eq "$wanted" ] && ! grep -q Sanitizer "$place/err"
}
printf '\357\273\277%s\r\n\r\n%s' "$first" "$second" >"$place/dos"
check 'a byte-order mark, DOS line ends, an empty line, no last end' predict_list 0 "$place/dos"
check 'are no part of the paths' test "$(cut -f 1 "$place/out")" = "$(printf 'key\n%s\n%s' "$first" "$second")"
odd=$(printf '%s/a\nb\tc\\\033\351.jpg' "$place")
cp "$first" "$odd"
printf '%s\0%s\0' "$odd" "$first" >"$place/zeros"
check '--null: a path with a line end' predict_list 0 "$place/zeros" --null
check 'is escaped in the table' test "$(sed -n 2p "$place/out" | cut -f 1)" = "$place/a\\nb\\tc\\\\\\x1b\\xe9.jpg"
check 'and printf %b gives it back' test "$(env printf '%b' "$(sed -n 2p "$place/out" | cut -f 1)")" = "$odd"
printf '%s\0%s\0' "$first" "$second" >"$place/two"
check 'without --null zero bytes are refused (exit 65)' predict_list 65 "$place/two"
check 'and --null is named' says 'zero byte; .*--null'
check '--json: a path that is not UTF-8' predict_list 0 "$place/zeros" --null --json
check 'is there with its bytes' prints "^\\{\"key\":\"$place/a.u000ab.u0009c...u001b.*\\.jpg\",\"key_bytes\":\"[0-9a-f]*610a6209635c1be92e6a7067\",\"top\""
check 'and those of other paths are left out' test "$(grep -c key_bytes "$place/out")" -eq 1
check 'a list of zero bytes without end is refused (exit 65)' predict_list 65 /dev/zero
check 'and so said' says 'line 1 is longer than 65536 bytes'
head -c 70000 /dev/zero | tr '\0' a >"$place/long"
check 'so is a line without end (exit 65)' predict_list 65 "$place/long"
refuses 65 "$place: a folder" 'a folder as list' starling-predict --model "$place/even" --list "$place"
status=0
"$bin/starling-predict" --model "$place/even" --top 1 - <"$first" >"$place/out" 2>"$place/err" || status=$?
check 'an image on standard input has the key -' test $status -eq 0 -a "$(sed -n 2p "$place/out" | cut -f 1)" = -
status=0
"$bin/starling-predict" --model "$place/even" - </dev/null >"$place/out" 2>"$place/err" || status=$?
check 'an empty one is refused' test $status -eq 65
check 'by name' says 'standard input: not a JPEG image but an empty file'

# ---- readers that leave ----
for _ in $(seq 400); do cat "$place/list"; done >"$place/many"
for command in "starling-predict --model $place/even --list $place/many" "starling-evaluate --data $data --model $place/even" \
    starling-doctor "train_tinyimagenet --data $data --run $place/dry --model $here/tiny.json --batch-size 5 --dry-run"; do
    # shellcheck disable=SC2086 # a list of words
    { "$bin/"$command 2>"$place/err"; echo $? >"$place/status"; } | head -n 0
    check "${command%% *} | head: exit 0" test "$(cat "$place/status")" = 0
    check 'without a complaint' not says 'cannot|Broken pipe'
done

# ---- an unfinished file goes with its program ----
"$bin/starling-predict" --model "$place/even" --list - --output "$place/late" <"$place/paths" >"$place/out" 2>"$place/err" &
predicting=$!
exec 8>"$place/paths"
tries=0
while [ -z "$(find "$place" -maxdepth 1 -name 'late.*.tmp')" ] && [ $tries -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
check 'while it works there is a temporary file' test $tries -lt 100
sleep 0.2
kill -TERM $predicting
wait $predicting 2>/dev/null
check 'killed by TERM' test $? -eq 143
check 'nothing is left' test -z "$(find "$place" -maxdepth 1 -name 'late*')"
exec 8>&-

# ---- names of classes ----
classes='{"id":"tab\tbed","words":"line\nend"},{"id":"n2","words":"\u001b[31mred \u009b31m"},{"id":"back\\slash","words":"é, \"q\""},{"id":"n4","words":"d"}'
make_model "$place/names" 16 16 3 "$zero" "$zero"
ends 0 'predicting odd classes' starling-predict --model "$place/names" "$first"
check 'they are escaped in the table' test "$(sed -n 2p "$place/out" | cut -f 2,3,5,6,8,9)" = \
    "$(printf '%s\t%s\t%s\t%s\t%s\t%s' 'tab\tbed' 'line\nend' n2 '\x1b[31mred \xc2\x9b31m' 'back\\slash' 'é, "q"')"
ends 0 'as JSON' starling-predict --model "$place/names" --json "$first"
check 'they are escaped too' grep -qF '{"class":"tab\u0009bed","words":"line\u000aend",' "$place/out"
check 'every one' grep -qF '"words":"\u001b[31mred \u009b31m"' "$place/out"
finish
