/* Batch norm folded into a convolution: done once before inference, so the reference is all there is. */
#include <math.h>

#include "kernels/contract.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"

static bool each_filter(const void *shape, struct sl_need *need)
{
    need->units = ((const struct sl_conv2d *)shape)->k;
    return true;
}

static void fold(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_conv2d *s = shape;
    const struct sl_conv2d_fold *t = args;
    const size_t row = sl_conv2d_weights(s) / (size_t)s->k;
    assert(sl_conv2d_is_sound(s) && sl_work_fits(work, each_filter, s));
    for (int64_t k = work->begin; k < work->end; k++) {
        const double scale = t->gamma[k] / sqrt((double)t->var[k] + t->epsilon);
        t->folded_bias[k] = (float)(t->beta[k] + ((t->bias ? t->bias[k] : 0.0) - t->mean[k]) * scale);
        for (size_t i = 0; i < row; i++)
            t->folded[(size_t)k * row + i] = (float)(t->weights[(size_t)k * row + i] * scale);
    }
}

const struct sl_kernel sl_conv2d_fold_ref = {.need = each_filter, .run = fold};
