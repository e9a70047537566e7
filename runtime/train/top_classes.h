/* The most probable classes of a row of probabilities. */
#ifndef SL_RUNTIME_TRAIN_TOP_CLASSES_H
#define SL_RUNTIME_TRAIN_TOP_CLASSES_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* top[count] becomes the most probable of p[classes], best first; equal ones in the order of the classes. */
void sl_top_classes(const float *p, int32_t classes, int32_t count, int32_t *top);

/* SL_NUMERICS, naming the key, if a probability is not finite. */
int sl_top_classes_check(const float *p, int32_t classes, const char *key);

#ifdef __cplusplus
}
#endif
#endif
