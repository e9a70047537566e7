#!/bin/sh
# Each header compiles alone: public ones as C and as C++, those for one instruction set as C with its flags.
# kernels/FOLDER/FOLDER_*.h, and kernels/simd/*.h beyond the instruction sets, are bodies that variants share over the
# vectors of the file that includes them; they mean nothing alone.
#   sh tests/headers.sh ROOT CC CXX
set -eu
cd "$1"
cc=$2 cxx=$3
failed=0
count=0
avx2='-mavx2 -mfma -mbmi -mbmi2 -mf16c'
avx512="$avx2 -mavx512f -mavx512bw -mavx512dq -mavx512vl"
amx="$avx512 -mavx512bf16 -mamx-tile -mamx-bf16"

compiles() {
    language=$1 header=$2
    shift 2
    # Twice, so that a missing include guard shows.
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$@" -x "$language" -fsyntax-only -Wall -Wextra -Werror -Wno-unused-function -Wno-psabi -D_GNU_SOURCE -I. - ||
        { echo "$header does not compile alone as $language"; failed=1; }
}

# shellcheck disable=SC2086 # flags are lists of words
for header in $(find kernels runtime comm models apps tests -name '*.h' 2>/dev/null | LC_ALL=C sort); do
    folder=${header%/*}
    case $header in
    kernels/*/"${folder##*/}"_*.h) continue ;;
    kernels/simd/vec_avx* | kernels/simd/vec_emulated.h | kernels/simd/tile_amx.h) ;;
    kernels/simd/*) continue ;;
    esac
    case $header in
    *avx512*.h) compiles c "$header" "$cc" -std=c17 $avx512 ;;
    kernels/simd/tile_amx.h) compiles c "$header" "$cc" -std=c17 $amx ;;
    *avx2*.h) compiles c "$header" "$cc" -std=c17 $avx2 ;;
    kernels/simd/* | *_internal.h | apps/* | tests/*) compiles c "$header" "$cc" -std=c17 ;;
    *)
        compiles c "$header" "$cc" -std=c17
        compiles c++ "$header" "$cxx" -std=c++17
        ;;
    esac
    count=$((count + 1))
done
echo "$count headers"
[ "$count" -gt 0 ] && [ $failed -eq 0 ]
