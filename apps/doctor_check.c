/* Does the kernel that this machine would use compute what it should? */
#include <math.h>
#include <stdio.h>

#include "apps/doctor_parts.h"
#include "kernels/conv/conv.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"

/* The convolution that is tried: two small images. */
static const struct sl_conv2d shape = {.n = 2,
                                       .h = 16,
                                       .w = 16,
                                       .c = 32,
                                       .k = 64,
                                       .kh = 3,
                                       .kw = 3,
                                       .stride_h = 1,
                                       .stride_w = 1,
                                       .pad_top = 1,
                                       .pad_left = 1,
                                       .oh = 16,
                                       .ow = 16,
                                       .xs = 32,
                                       .ys = 64};

/* One forward convolution, into y. */
static int run_convolution(struct sl_choice *choice, const float *x, const float *weights, float *y)
{
    int rc = SL_OK;
    const struct sl_device *device = choice->device;
    const size_t bytes = sl_choice_need(choice)->packed;
    void *packed = NULL;
    if (bytes) {
        SL_TRY(device->alloc(device->self, bytes, &packed));
        SL_TRY(sl_launch_pack(choice, &shape, weights, packed));
    }
    const struct sl_conv2d_fwd args = {.x = x, .weights = packed ? packed : weights, .slope = 1, .y = y};
    SL_TRY(sl_launch_conv2d_fwd(choice, &shape, &args));
    SL_TRY(device->sync(device->self));
out:
    device->free(device->self, packed);
    return rc;
}

static void fill(float *x, size_t n)
{
    uint32_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}

int sl_doctor_self_test(void)
{
    int rc = SL_OK;
    struct sl_device device = {0}, plain;
    struct sl_choice chosen = {0}, reference = {0};
    void *memory = NULL;
    const size_t nx = sl_conv2d_inputs(&shape), nw = sl_conv2d_weights(&shape), ny = sl_conv2d_outputs(&shape);
    SL_TRY(sl_device_cpu_open(0, &device));
    plain = device;
    plain.isa = SL_CPU;
    SL_TRY(sl_choose_conv2d_fwd(&device, &shape, &chosen));
    SL_TRY(sl_choose_conv2d_fwd(&plain, &shape, &reference));
    SL_TRY(device.alloc(device.self, (nx + nw + 2 * ny) * sizeof(float), &memory));
    float *x = memory, *w = x + nx, *y = w + nw, *expected = y + ny;
    fill(x, nx + nw);
    SL_TRY(run_convolution(&chosen, x, w, y));
    SL_TRY(run_convolution(&reference, x, w, expected));
    double worst = 0;
    for (size_t i = 0; i < ny; i++)
        worst = fmax(worst, isfinite(y[i]) ? fabs((double)y[i] - (double)expected[i]) : INFINITY);
    /* 288 products of numbers below 1, rounded once each at most. */
    if (worst > 288 * 0x1p-20)
        SL_FAIL(SL_INTERNAL, "self-test: %s is off by %g; hold it down with SL_ISA=ref", sl_choice_row(&chosen)->symbol,
                worst);
    printf("self-test\n  %s against %s: largest difference %.1e, passed\n", sl_choice_row(&chosen)->symbol,
           sl_choice_row(&reference)->name, worst);
out:
    sl_choice_close(&chosen);
    sl_choice_close(&reference);
    if (device.close) {
        device.free(device.self, memory);
        device.close(device.self);
    }
    return rc;
}
