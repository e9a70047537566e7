/* The first pass of a preparation: every image is decoded once. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_IMAGES_H
#define SL_RUNTIME_PREPARE_PREPARE_IMAGES_H

#include "runtime/prepare/prepare_report.h"
#include "runtime/prepare/scan_set.h"
#include "runtime/prepare/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Decodes every image of the list, and adds the readable ones to *sums. An unreadable image leaves list and verdicts,
 * which stay parallel (skip_bad_images), or ends it: SL_BAD_DATA. Counts the skipped and the turned ones in the data
 * set. The caller frees *verdicts. Else the errors of sl_verify. */
int sl_prepare_verify(struct sl_prepare_pass *pass, struct sl_image_list *list, struct sl_verdict **verdicts,
                      struct sl_channel_sums *sums, struct sl_dataset *dataset);

/* Tells how many validation images are training images too, byte for byte. SL_SYSTEM. */
int sl_prepare_compare(const struct sl_prepare_options *options, const struct sl_scan *scan,
                       const struct sl_verdict *train, const struct sl_verdict *val);

#ifdef __cplusplus
}
#endif
#endif
