/* The operations of batch norm that see channels only: joining what the passes over pixels have summed, the factors
 * that follow, the running statistics. A few thousand numbers each, so the reference is all there is. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"

enum { BLOCK = SL_LANES }; /* channels of a unit: a cache line of each record */

static bool each_block(const void *shape, struct sl_need *need)
{
    need->units = (((const struct sl_norm *)shape)->xs + BLOCK - 1) / BLOCK;
    return true;
}

static int32_t block_begin(int64_t unit)
{
    return (int32_t)unit * BLOCK;
}

static int32_t block_end(int64_t unit, int32_t xs)
{
    return block_begin(unit) + BLOCK < xs ? block_begin(unit) + BLOCK : xs;
}

static void join_block(const struct sl_norm *s, const struct sl_norm_join *t, int32_t begin, int32_t end)
{
    double middle[BLOCK] = {0.0}, squares[BLOCK] = {0.0}, count = 0.0;
    for (int64_t part = 0; part < t->parts; part++) {
        const float *record = t->moments + (size_t)part * sl_moments_size(s->xs);
        const double more = record[2 * s->xs];
        if (more <= 0.0)
            continue;
        const double share = more / (count + more);
        for (int32_t c = begin; c < end; c++) {
            const double delta = record[c] - middle[c - begin];
            middle[c - begin] += delta * share;
            squares[c - begin] += record[s->xs + c] + delta * delta * count * share;
        }
        count += more;
    }
    for (int32_t c = begin; c < end; c++) {
        t->mean[c] = (float)middle[c - begin];
        t->var[c] = count > 0.0 ? (float)(squares[c - begin] / count) : 0.0f;
    }
}

static void join(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    assert(sl_work_fits(work, each_block, s));
    for (int64_t unit = work->begin; unit < work->end; unit++)
        join_block(s, args, block_begin(unit), block_end(unit, s->xs));
}

static void scale(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_scale *t = args;
    const int32_t end = work->end > work->begin ? block_end(work->end - 1, s->xs) : 0;
    assert(sl_work_fits(work, each_block, s));
    for (int32_t c = block_begin(work->begin); c < end; c++) {
        const bool channel = c < s->c;
        const bool overflowed = channel && !isfinite(t->var[c]);
        const double rstd = overflowed ? (double)NAN : channel ? 1.0 / sqrt((double)t->var[c] + t->epsilon) : 0.0;
        const double factor = channel ? t->gamma[c] * rstd : 0.0;
        t->rstd[c] = (float)rstd;
        t->scale[c] = (float)factor;
        t->shift[c] = channel ? (float)(t->beta[c] - t->mean[c] * factor) : 0.0f;
    }
}

static void bwd_join_block(const struct sl_norm *s, const struct sl_norm_bwd_join *t, int32_t begin, int32_t end)
{
    double beta[BLOCK] = {0.0}, gamma[BLOCK] = {0.0};
    const double m = (double)s->n * s->h * s->w;
    for (int64_t part = 0; part < t->parts; part++)
        for (int32_t c = begin; c < end; c++) {
            beta[c - begin] += t->sums[2 * part * s->xs + c];
            gamma[c - begin] += t->sums[(2 * part + 1) * s->xs + c];
        }
    for (int32_t c = begin; c < end; c++) {
        const float dbeta = (float)beta[c - begin], dgamma = (float)gamma[c - begin];
        const double slope = -(double)t->scale[c] * t->rstd[c] * dgamma / m;
        t->a[c] = (float)slope;
        t->b[c] = (float)(-(double)t->scale[c] * dbeta / m - slope * t->mean[c]);
        if (c < s->c) {
            t->dbeta[c] = dbeta;
            t->dgamma[c] = dgamma;
        }
    }
}

static void bwd_join(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    assert(sl_work_fits(work, each_block, s));
    for (int64_t unit = work->begin; unit < work->end; unit++)
        bwd_join_block(s, args, block_begin(unit), block_end(unit, s->xs));
}

static void commit(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_norm *s = shape;
    const struct sl_norm_commit *t = args;
    const int32_t end = work->end > work->begin ? block_end(work->end - 1, s->c) : 0;
    assert(sl_work_fits(work, each_block, s));
    if (t->now->bad)
        return;
    for (int32_t c = block_begin(work->begin); c < end; c++) {
        t->running_mean[c] = (float)(t->decay * t->running_mean[c] + (1.0 - t->decay) * t->mean[c]);
        t->running_var[c] = (float)(t->decay * t->running_var[c] + (1.0 - t->decay) * t->var[c]);
    }
}

const struct sl_kernel sl_norm_join_ref = {.need = each_block, .run = join};
const struct sl_kernel sl_norm_scale_ref = {.need = each_block, .run = scale};
const struct sl_kernel sl_norm_bwd_join_ref = {.need = each_block, .run = bwd_join};
const struct sl_kernel sl_norm_commit_ref = {.need = each_block, .run = commit};
