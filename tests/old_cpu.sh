#!/bin/sh
# The same programs on processors of other years, emulated: an instruction that such a processor lacks ends the program.
# Nehalem has neither AVX2 nor AVX-512, Haswell has AVX2 only. Without qemu-user this is a visible skip (exit code 77).
#   sh tests/old_cpu.sh FOLDER_OF_PROGRAMS
set -eu
command -v qemu-x86_64 >/dev/null || { echo "skipped: qemu-x86_64 (package qemu-user) is not installed"; exit 77; }
for cpu in Nehalem Haswell; do
    found=$(qemu-x86_64 -cpu $cpu "$1/starling-doctor" | sed -n 's/^ *instruction sets *//p')
    case $cpu:$found in
    Nehalem:none | Haswell:avx2) ;;
    *) echo "an emulated $cpu is taken for one with: $found"; exit 1 ;;
    esac
    qemu-x86_64 -cpu $cpu "$1/test_golden"
done
