/* Classification metrics as JSON. */
#ifndef SL_RUNTIME_REPORT_METRICS_JSON_H
#define SL_RUNTIME_REPORT_METRICS_JSON_H

#include <stdio.h>

#include "runtime/train/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the metrics as one JSON object in one line; what is undefined is null. `names` may be NULL: then classes are
 * called by their index. The caller looks at the stream's error flag.
 *
 *   {"classes", "samples", "accuracy", "top_n": {"n", "accuracy"}, "precision", "recall", "f1", "mcc", "mean_loss",
 *    "present_classes", "never_predicted", "dl4j": {"precision": {"value", "excluded"}, "recall", "f1", "mcc": the
 *    same, "g_measure"}, "per_class": [{"class", "samples", "predicted", "correct", "precision", "recall", "f1"}, ...],
 *    "confusion": [[of actual class 0 by predicted class, ...], ...]}
 * The matrix is there for up to 20 classes. */
void sl_metrics_print_json(const struct sl_metrics *metrics, const char *const *names, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
