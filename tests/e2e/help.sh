#!/bin/sh
# --help and --version of every program, and every option that the documents promise.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# promises PROGRAM OPTION...
promises() {
    program=$1
    shift
    ends 0 "$program --version" "$program" --version
    check "$program --version names the version on stdout" prints '^Starling [0-9]+\.[0-9]+\.[0-9]+$'
    ends 0 "$program --help" "$program" --help
    check "$program --help is on stdout alone" not test -s "$place/err"
    for option in "$@" help version; do
        check "$program --help explains --$option" prints "(^| )--$option([= []|\$)"
    done
    ends 0 "$program --usage" "$program" --usage
}

promises starling-sample output classes per-class val-per-class size seed
promises starling-prepare input output images-per-file image-size compress on-bad-image orientation val-fraction seed threads allow-one-class quiet
promises train_tinyimagenet data run epochs batch-size lr lr-schedule weight-decay optimizer momentum seed resume threads workers \
    model backend device device-memory-limit kernels eval-every checkpoint-every keep max-steps pixels flip crop-padding on-bad-image memory-limit log-every quiet profile dry-run \
    max-skips exchange combine threshold-algorithm threshold min-density max-density target-density threshold-decay density-cap clip \
    clip-every flush-residual scale-lr hash-every start-limit step-limit precision
promises starling-evaluate data model split top confusion json batch-size threads memory-limit kernels on-bad-image start-limit backend device device-memory-limit precision
promises starling-predict model top output list null data split json batch-size threads memory-limit kernels on-bad-image backend device device-memory-limit precision
promises starling-doctor output kernels precision
finish
