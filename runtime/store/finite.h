/* Are the numbers of a checkpoint sound? */
#ifndef SL_RUNTIME_STORE_FINITE_H
#define SL_RUNTIME_STORE_FINITE_H

#include "runtime/store/checkpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SL_NUMERICS, naming file, tensor and index, if a value of a floating tensor is not finite. */
int sl_store_check_finite(const struct sl_store_file *files, size_t count);

#ifdef __cplusplus
}
#endif
#endif
