#!/bin/sh
# Every global symbol that a static library of ours defines begins with sl_.
#   sh tests/symbols.sh LIBRARY.a...
set -eu
: "${1:?usage: symbols.sh LIBRARY.a...}"
# Compilers and sanitizers add names with two leading underscores, or with a dot, which C cannot take from a user.
found=$(nm --extern-only --defined-only -P "$@" | awk 'NF >= 2 && $2 ~ /^[A-Za-z]$/ && $1 !~ /^sl_/ && $1 !~ /^__/ && $1 !~ /\./')
[ -z "$found" ] || { printf '%s\n' "not prefixed with sl_:" "$found"; exit 1; }
