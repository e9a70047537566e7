#!/bin/sh
# What the kernels of a training step should take on an H100 SXM, from bytes and operations alone. A prediction, to be
# replaced by what ./dev gpu measures. The roof of each kernel is the larger of its operations at a share of the tensor
# cores' peak (989 TFLOP/s bf16, 495 tf32, dense) and its bytes at a share of the memory's (3.35 TB/s). The share of the
# memory is 0.84, what copies are said to reach. That of the cores is an assumption, 0.35: what trainings of small images
# reach on an A100 (airbench94: 36 %), with the instruction these kernels use as well, mma.sync; more would take wgmma. A
# launch takes 3 us at least.
#   sh bench/gpu_predictions.sh [BATCH [SHARE]]
set -eu
batch=${1:-256} share=${2:-0.35}
awk -v batch="$batch" -v share="$share" '
    function most(a, b) { return a > b ? a : b }
    function up(n) { return n == 3 ? 3 : int((n + 15) / 16) * 16 }
    function micro(flops, bytes, peak) {
        return most(3, 1e6 * most(peak ? flops / (share * peak) : 0, bytes / (0.84 * 3.35e12)))
    }
    function say(what, math, flops, bytes, us) {
        rows[math] = rows[math] sprintf("| %s | %.1f | %.2f | %.0f |\n", what, bytes / 1e6, flops / 1e9, us)
        total[math] += us
    }
    function convolution(name, pass, math, size, peak,    in_, out, w) {
        in_ = batch * h * wide * up(c) * size; out = batch * oh * ow * up(k) * size; w = k * kh * kw * c
        say(name " " pass, math, flops, in_ + out + w * (pass == "weights" ? 4 : size),
            micro(flops, in_ + out + w * (pass == "weights" ? 4 : size), peak))
    }
    # forward: x is read and y written (moments come with the convolution); backward: reduce reads x and dy, apply reads
    # them again and writes dx.
    function norm(math, size,    x, y) {
        x = batch * oh * ow * up(k) * size; y = pool[$1] == 2 ? x / 4 : x
        say($1 " norm+act+pool forward", math, 0, x + y, micro(0, x + y, 0))
        say($1 " norm backward reduce", math, 0, x + y, micro(0, x + y, 0))
        say($1 " norm backward apply", math, 0, 2 * x + y, micro(0, 2 * x + y, 0))
    }
    function other(math, size,    n, logits) {
        n = 1077160; logits = batch * 64 * 208 * size
        say("images to elements", math, 0, batch * 64 * 64 * 3 * (1 + size), micro(0, batch * 64 * 64 * 3 * (1 + size), 0))
        say("global average, both ways", math, 0, 2 * logits, 2 * micro(0, logits, 0))
        say("softmax + NLL, both ways", math, 0, 4 * batch * 208 * size, 6)
        say("sums of squares, judge", math, 0, 8 * n, 9)
        say("AMSGrad", math, 0, 36 * n, micro(0, 36 * n, 0))
        say("threshold encode", math, 0, 12 * n, micro(0, 12 * n, 0))
    }
    BEGIN {
        pool["L1"] = pool["L3"] = pool["L5"] = 1
        pool["L2"] = pool["L4"] = pool["L6"] = 2
    }
    !/^#/ && NF {
        h = $2; wide = $3; c = $4; k = $5; kh = $6; kw = $7; oh = $11; ow = $12
        flops = 2 * batch * oh * ow * k * kh * kw * c
        for (i = 1; i <= 2; i++) {
            math = i == 1 ? "bf16" : "tf32"; size = i == 1 ? 2 : 4; peak = i == 1 ? 989e12 : 495e12
            if ($13 ~ /f/) convolution($1, "forward", math, size, peak)
            if ($13 ~ /d/) convolution($1, "data", math, size, peak)
            if ($13 ~ /w/) convolution($1, "weights", math, size, peak)
            if ($1 in pool) norm(math, size)
        }
    }
    END {
        other("bf16", 2)
        other("tf32", 4)
        for (i = 1; i <= 2; i++) {
            math = i == 1 ? "bf16" : "tf32"
            printf "| %s, batch %d | MB | GFLOP | us |\n|---|---|---|---|\n%s", math, batch, rows[math]
            printf "| whole step, %.0f images/s | | | %.0f |\n\n", 1e6 * batch / total[math], total[math]
        }
    }' "$(dirname "$0")/shapes/darknet.txt"
