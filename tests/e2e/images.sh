#!/bin/sh
# Images as strangers have them: odd JPEGs, EXIF orientations, other formats; the same answer whatever came before.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
cases=$here/../cases

# Two classes of the sound cases.
for class in a b; do
    mkdir -p "$place/odd/$class"
    for name in base exif6 jfif_0.00 extraneous_before_eoi samp_3x1 cmyk_sub1 opt std_nodht progressive grey; do
        cp "$cases/$name.jpg" "$place/odd/$class/"
    done
done
ends 0 'every sound image is prepared' starling-prepare --input "$place/odd" --output "$place/odd-data" --image-size 16
check 'the turned images are counted' prints '^turned 2 images as their EXIF orientation says$'
ends 0 'as stored' starling-prepare --input "$place/odd" --output "$place/stored" --image-size 16 --orientation ignore
check 'and that is said' prints '^left 2 images as stored, though their EXIF orientation turns them$'
check 'dataset.json holds the choice' grep -q '"orientation": "ignore"' "$place/stored/dataset.json"

# Decoders meet the images in other orders with other numbers of threads.
for name in nodqt tables_only; do
    cp "$cases/$name.jpg" "$place/odd/a/"
done
printf 'no image' >"$place/odd/b/text.jpg"
printf '\0\0\0\030ftypheic\0\0\0\0mif1heic' >"$place/odd/b/phone.jpg"
for threads in 1 2 3 7; do
    ends 0 "with $threads threads" starling-prepare --input "$place/odd" --output "$place/odd$threads" --image-size 16 \
        --on-bad-image skip --threads "$threads"
    check '4 images are left out' prints '^skipped 4 unreadable images$'
    check 'each says why' says 'phone.jpg: not a JPEG image but a HEIC image'
    cp "$place/err" "$place/err$threads"
    check 'the same data set' cmp "$place/odd1/dataset.json" "$place/odd$threads/dataset.json"
    check 'the same words' cmp "$place/err1" "$place/err$threads"
done

# A model looks at images as its data set did.
ends 0 'images to learn' starling-sample --output "$place/images" --classes 4 --per-class 12 --val-per-class 5 --size 16
for orientation in apply ignore; do
    data=$place/data-$orientation
    ends 0 'prepared' starling-prepare --input "$place/images" --output "$data" --image-size 16 --orientation $orientation
    check "trained, $orientation" trains 0 "$place/run-$orientation" --epochs 1
    for name in base exif6; do
        ends 0 "predicted $name.jpg" starling-predict --model "$place/run-$orientation" --top 4 "$cases/$name.jpg"
        sed 's/^[^\t]*//' "$place/out" >"$place/$orientation-$name"
    done
    # The data set's own choice is the other one for one of the two models.
    ends 0 'predicted a data set' starling-predict --model "$place/run-$orientation" --top 4 --data "$place/odd-data" --split train
    grep 'exif6' "$place/out" | head -n 1 | sed 's/^[^\t]*//' >"$place/set"
    grep -v '^#' "$place/$orientation-exif6" | tail -n 1 >"$place/file"
    check 'a data set is looked at as a file is' cmp "$place/set" "$place/file"
done
check 'turned, it is another picture' not cmp -s "$place/apply-base" "$place/apply-exif6"
check 'as stored, it is the same' cmp "$place/ignore-base" "$place/ignore-exif6"
finish
