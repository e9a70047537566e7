/* What tests of single rows of the convolutions share: operands, rows by name, and the size of errors. */
#ifndef SL_TESTS_CONV_ROWS_H
#define SL_TESTS_CONV_ROWS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/elementwise/philox.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"

static inline float *take(size_t floats)
{
    float *at = aligned_alloc(64, (floats * sizeof *at + 63) / 64 * 64);
    assert_non_null(at);
    return at;
}

/* Uniform in [-1, 1). */
static inline float *draw(size_t floats, uint64_t stream)
{
    float *at = take(floats);
    for (size_t i = 0; i < floats; i++)
        at[i] = 2.0f * sl_uniform(sl_philox4x32(1, stream, i / 4).word[i % 4]) - 1.0f;
    return at;
}

static inline const struct sl_kernel_row *find_row(enum sl_op op, const char *name)
{
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        if (sl_kernel_rows[i].op == op && !strcmp(sl_kernel_rows[i].name, name))
            return &sl_kernel_rows[i];
    fail_msg("there is no row %s", name);
    return NULL;
}

static inline bool runs(const struct sl_kernel_row *row)
{
    return !(row->needs & ~sl_isa());
}

/* One pass by one row, from OHWI weights: x to y or to its pooled y, or dy to dx; in the row's element. */
static inline void pass(const struct sl_kernel_row *row, const struct sl_conv2d *s, const void *from,
                        const float *weights, void *to)
{
    struct sl_device device;
    struct sl_choice choice;
    assert_int_equal(sl_device_cpu_open(1, &device), SL_OK);
    device.rows = row;
    device.row_count = 1;
    assert_int_equal(sl_choose(&device, row->op, s, &choice), SL_OK);
    const size_t bytes = sl_choice_need(&choice)->packed;
    float *packed = take(bytes / sizeof *packed + 1);
    assert_int_equal(sl_launch_pack(&choice, s, weights, packed), SL_OK);
    const float *ready = bytes ? packed : weights;
    const struct sl_conv2d_fwd forward = {.x = from, .weights = ready, .slope = 1.0f, .y = to};
    const struct sl_conv2d_bwd_data backward = {.dy = from, .weights = ready, .dx = to};
    const void *args = row->op == SL_OP_conv2d_bwd_data ? (const void *)&backward : (const void *)&forward;
    assert_int_equal(sl_launch(&choice, row->op, s, args), SL_OK);
    free(packed);
    sl_choice_close(&choice);
    device.close(device.self);
}

/* A row of either element made ready for a shape, and with its weights, if it packs them: a test runs its slices as it
 * likes. */
struct launch {
    const struct sl_kernel_row *row;
    struct sl_conv2d shape; /* of the row's element */
    void *state;
    float *scratch, *packed;
    struct sl_need need;
};

static inline void open_launch(struct launch *l, const struct sl_kernel_row *row, const struct sl_conv2d *s,
                               const float *weights)
{
    *l = (struct launch){.row = row, .shape = *s};
    l->shape.element = row->kernel->element;
    assert_true(sl_row_takes(row, row->op, &l->shape, row->needs, &l->need));
    l->state = calloc(1, l->need.state + 1);
    assert_non_null(l->state);
    if (row->kernel->open)
        assert_int_equal(row->kernel->open(&l->shape, NULL, l->state), SL_OK);
    l->scratch = take(l->need.scratch / sizeof(float) + 1);
    l->packed = take(l->need.packed / sizeof(float) + 1);
    if (l->need.packed)
        row->kernel->pack(&l->shape, weights, l->packed,
                          &(struct sl_work){.end = l->need.pack_units, .state = l->state});
}

static inline void close_launch(struct launch *l)
{
    free(l->packed);
    free(l->scratch);
    free(l->state);
}

/* Of the differences, by the root mean square of what they should be: their root mean square, and the largest. */
struct error {
    double rms, most;
};

static inline struct error error_of(const float *got, const float *want, size_t n)
{
    double squares = 0.0, size = 0.0, most = 0.0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - (double)want[i]);
        squares += d * d;
        size += (double)want[i] * (double)want[i];
        most = d > most ? d : most;
    }
    return (struct error){sqrt(squares / size), most / sqrt(size / (double)n)};
}

/* Adds up the parts, as the layer does. */
static inline void add_parts(float *dw, size_t weights, int64_t parts)
{
    for (int64_t p = 1; p < parts; p++)
        for (size_t i = 0; i < weights; i++)
            dw[i] += dw[(size_t)p * weights + i];
}

static inline void multiply(float *at, size_t n, float by)
{
    for (size_t i = 0; i < n; i++)
        at[i] *= by;
}

/* Of a pass by a row of floats, beside the reference. x or dy is `size` times as large as what is drawn, and weights so
 * many times smaller. */
static inline struct error pass_error(const struct sl_kernel_row *row, const struct sl_conv2d *s, float size)
{
    const bool forward = row->op == SL_OP_conv2d_fwd;
    const size_t inputs = forward ? sl_conv2d_inputs(s) : sl_conv2d_outputs(s);
    const size_t outputs = forward ? sl_conv2d_outputs(s) : sl_conv2d_inputs(s);
    float *x = draw(inputs, 0), *weights = draw(sl_conv2d_weights(s), 1), *got = take(outputs), *want = take(outputs);
    multiply(x, inputs, size);
    multiply(weights, sl_conv2d_weights(s), 1.0f / size);
    pass(row, s, x, weights, got);
    pass(find_row(row->op, "ref"), s, x, weights, want);
    const struct error error = error_of(got, want, outputs);
    free(want);
    free(got);
    free(weights);
    free(x);
    return error;
}

/* The constants of kernels/conv/README.md, with a little room: the root mean square hardly changes with the numbers
 * drawn, the largest of some ten thousand errors does. A form that came out much better than stated would be another
 * form. */
static inline void error_is_that_of_the_form(const struct sl_kernel_row *row, size_t form, struct error got,
                                             struct error stated)
{
    if (got.rms > 1.2 * stated.rms || got.rms < 0.6 * stated.rms || got.most > 2.0 * stated.most)
        fail_msg("%s, form %zu: rms %.2e, most %.2e; stated %.2e, %.2e", row->symbol, form, got.rms, got.most,
                 stated.rms, stated.most);
}
#endif
