/* The second pass of a preparation: the images go into shards. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_SHARDS_H
#define SL_RUNTIME_PREPARE_PREPARE_SHARDS_H

#include "runtime/data/dataset.h"
#include "runtime/prepare/prepare_report.h"
#include "runtime/prepare/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the shards of a split, in the order of the seed, and appends the split to the data set. SL_BAD_DATA: an image
 * changed since it was verified. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_prepare_write_split(struct sl_prepare_pass *pass, const struct sl_image_list *list,
                           const struct sl_verdict *verdicts, const char *name, struct sl_dataset *dataset);

#ifdef __cplusplus
}
#endif
#endif
