#!/bin/sh
# Installs a build into a temporary prefix, moves it, and builds and runs the consumer against it both ways. Then all
# installed headers meet in one file, as C and as C++: no name is defined twice, and no macro is without our prefix.
#   sh tests/consumer/check.sh BUILD CONSUMER CC CXX GENERATOR [FLAGS]
set -eu
build=$1 consumer=$2 cc=$3 cxx=$4 generator=$5 flags=${6:-}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

cmake --install "$build" --prefix "$place/installed" >"$place/log"
# An installation may be moved: nothing in it may hold the prefix.
prefix=$place/moved
mv "$place/installed" "$prefix"

# So may its programs and modules, together.
"$prefix/bin/starling-doctor" >"$place/doctor"
for module in cuda nccl wire_openmpi wire_mpich; do
    [ ! -e "$build/bin/libstarling_$module.so" ] || find "$prefix" -path "*/starling/libstarling_$module.so" | grep -q . ||
        { echo "libstarling_$module.so is not installed"; exit 1; }
done
if [ -e "$build/bin/libstarling_cuda.so" ] && grep "there is no plug-in" "$place/doctor"; then exit 1; fi
for wire in openmpi mpich; do
    [ ! -e "$build/bin/libstarling_wire_$wire.so" ] || grep -q "^  $wire  *$prefix/.*/libstarling_wire_$wire\.so\$" "$place/doctor" ||
        { cat "$place/doctor"; exit 1; }
done

echo "find_package:"
cmake -G "$generator" -S "$consumer" -B "$place/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="$flags" >>"$place/log" || { cat "$place/log"; exit 1; }
cmake --build "$place/cmake" >>"$place/log" || { cat "$place/log"; exit 1; }
"$place/cmake/consumer"

echo "pkg-config:"
pc=$(find "$prefix" -name starling.pc)
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046,SC2086 # lists of words
"$cc" -std=c17 $flags "$consumer/consumer.c" -o "$place/consumer" $(pkg-config --cflags --libs starling)
"$place/consumer"

include=$prefix/include/starling
headers=$(cd "$include" && find . -name '*.h' | sed 's,^\./,,' | LC_ALL=C sort)
# shellcheck disable=SC2086 # a list of words
printf '#include "%s"\n' $headers >"$place/all.h"
echo "$(wc -l <"$place/all.h") headers in one file:"
"$cc" -x c -std=c17 -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -I"$include" "$place/all.h"
"$cxx" -x c++ -std=c++17 -Wall -Wextra -Werror -Wno-unused-function -fsyntax-only -I"$include" "$place/all.h"

# The compiler says which file each macro comes from; those that are gone at the end of it do not count.
"$cc" -x c -std=c17 -E -dD -I"$include" "$place/all.h" | awk -v ours="$include/" '
    /^# [0-9]+ "/ { file = $3; gsub(/"/, "", file) }
    $1 == "#undef" { delete from[$2] }
    $1 == "#define" && index(file, ours) == 1 { name = $2; sub(/\(.*/, "", name); from[name] = substr(file, length(ours) + 1) }
    END { for (name in from) if (name !~ /^(SL|sl)_/) { print from[name] ": the macro " name " has no prefix"; bad = 1 }; exit bad }'
# shellcheck disable=SC2086 # a list of words
found=$(cd "$include" && grep -HnoE '^(struct|enum|union) +[A-Za-z_]+' $headers | grep -vE ' (sl_|json_t$)') || true
[ -z "$found" ] || { printf '%s\n' "not prefixed with sl_:" "$found"; exit 1; }
