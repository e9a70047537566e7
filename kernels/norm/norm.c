/* Joins the records of the norm kernels, in order and in double. */
#include "kernels/norm/norm.h"

enum { BLOCK = 64 }; /* channels at a time: records are read in runs of a few cache lines */

static int32_t block_end(int32_t begin, int32_t xs)
{
    return begin + BLOCK < xs ? begin + BLOCK : xs;
}

static void join_block(int32_t xs, int32_t begin, int32_t end, int64_t parts, const float *moments, float *mean,
                       float *var)
{
    double middle[BLOCK] = {0.0}, squares[BLOCK] = {0.0}, count = 0.0;
    for (int64_t part = 0; part < parts; part++) {
        const float *record = moments + (size_t)part * sl_moments_size(xs);
        const double more = record[2 * xs];
        if (more <= 0.0)
            continue;
        const double share = more / (count + more);
        for (int32_t c = begin; c < end; c++) {
            const double delta = record[c] - middle[c - begin];
            middle[c - begin] += delta * share;
            squares[c - begin] += record[xs + c] + delta * delta * count * share;
        }
        count += more;
    }
    for (int32_t c = begin; c < end; c++) {
        mean[c] = (float)middle[c - begin];
        var[c] = count > 0.0 ? (float)(squares[c - begin] / count) : 0.0f;
    }
}

void sl_norm_join(int32_t xs, int64_t parts, const float *moments, float *mean, float *var)
{
    for (int32_t c = 0; c < xs; c += BLOCK)
        join_block(xs, c, block_end(c, xs), parts, moments, mean, var);
}

static void join_sums_block(int32_t xs, int32_t begin, int32_t end, int64_t parts, const float *sums, float *dbeta,
                            float *dgamma)
{
    double beta[BLOCK] = {0.0}, gamma[BLOCK] = {0.0};
    for (int64_t part = 0; part < parts; part++)
        for (int32_t c = begin; c < end; c++) {
            beta[c - begin] += sums[2 * part * xs + c];
            gamma[c - begin] += sums[(2 * part + 1) * xs + c];
        }
    for (int32_t c = begin; c < end; c++) {
        dbeta[c] = (float)beta[c - begin];
        dgamma[c] = (float)gamma[c - begin];
    }
}

void sl_norm_join_sums(int32_t xs, int64_t parts, const float *sums, float *dbeta, float *dgamma)
{
    for (int32_t c = 0; c < xs; c += BLOCK)
        join_sums_block(xs, c, block_end(c, xs), parts, sums, dbeta, dgamma);
}

void sl_norm_bwd_coefficients(const struct sl_norm *shape, const float *scale, const float *mean, const float *rstd,
                              const float *dbeta, const float *dgamma, float *a, float *b)
{
    const double m = (double)shape->n * shape->h * shape->w;
    for (int32_t c = 0; c < shape->xs; c++) {
        const double slope = -(double)scale[c] * rstd[c] * dgamma[c] / m;
        a[c] = (float)slope;
        b[c] = (float)(-(double)scale[c] * dbeta[c] / m - slope * mean[c]);
    }
}
