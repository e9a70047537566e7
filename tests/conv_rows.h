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
#endif
