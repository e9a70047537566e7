#!/bin/sh
# Installs a build into a temporary prefix, moves it, and builds and runs the consumer against it both ways.
#   sh tests/consumer/check.sh BUILD CONSUMER CC GENERATOR [FLAGS]
set -eu
build=$1 consumer=$2 cc=$3 generator=$4 flags=${5:-}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

cmake --install "$build" --prefix "$place/installed" >"$place/log"
# An installation may be moved: nothing in it may hold the prefix.
prefix=$place/moved
mv "$place/installed" "$prefix"

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
