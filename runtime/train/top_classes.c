#include "runtime/train/top_classes.h"

#include <assert.h>
#include <math.h>

void sl_top_classes(const float *p, int32_t classes, int32_t count, int32_t *top)
{
    assert(0 < count && count <= classes);
    for (int32_t n = 0; n < count; n++) {
        int32_t best = -1;
        for (int32_t c = 0; c < classes; c++) {
            bool taken = false;
            for (int32_t k = 0; k < n && !taken; k++)
                taken = top[k] == c;
            if (!taken && (best < 0 || p[c] > p[best]))
                best = c;
        }
        top[n] = best;
    }
}

int sl_top_classes_check(const float *p, int32_t classes, const char *key)
{
    for (int32_t c = 0; c < classes; c++)
        if (!isfinite(p[c]))
            return sl_fail(SL_NUMERICS,
                           "%s: the model's probabilities are not finite; its weights are damaged or too large", key);
    return SL_OK;
}
