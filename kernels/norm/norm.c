/* Joins the records of the norm kernels, in order and in double. */
#include "kernels/norm/norm.h"

void sl_norm_join(int32_t xs, int64_t parts, const float *moments, float *mean, float *var)
{
    for (int32_t c = 0; c < xs; c++) {
        double m = 0.0, squares = 0.0, count = 0.0;
        for (int64_t part = 0; part < parts; part++) {
            const float *record = moments + (size_t)part * sl_moments_size(xs);
            const double more = record[2 * xs];
            if (more <= 0.0)
                continue;
            const double delta = record[c] - m;
            m += delta * more / (count + more);
            squares += record[xs + c] + delta * delta * count * more / (count + more);
            count += more;
        }
        mean[c] = (float)m;
        var[c] = count > 0.0 ? (float)(squares / count) : 0.0f;
    }
}

void sl_norm_join_sums(int32_t xs, int64_t parts, const float *sums, float *dbeta, float *dgamma)
{
    for (int32_t c = 0; c < xs; c++) {
        double beta = 0.0, gamma = 0.0;
        for (int64_t part = 0; part < parts; part++) {
            beta += sums[2 * part * xs + c];
            gamma += sums[(2 * part + 1) * xs + c];
        }
        dbeta[c] = (float)beta;
        dgamma[c] = (float)gamma;
    }
}

void sl_norm_bwd_coefficients(const struct sl_norm *p, const float *scale, const float *mean, const float *rstd,
                              const float *dbeta, const float *dgamma, float *a, float *b)
{
    const double m = (double)p->n * p->h * p->w;
    for (int32_t c = 0; c < p->xs; c++) {
        const double slope = -(double)scale[c] * rstd[c] * dgamma[c] / m;
        a[c] = (float)slope;
        b[c] = (float)(-(double)scale[c] * dbeta[c] / m - slope * mean[c]);
    }
}
