/* Classification metrics as a report for people, and as a table for spreadsheets. */
#ifndef SL_RUNTIME_REPORT_METRICS_REPORT_H
#define SL_RUNTIME_REPORT_METRICS_REPORT_H

#include <stdio.h>

#include "runtime/train/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What follows goes to a stream, whose error flag the caller looks at. `names` may be NULL: then classes are called by
 * their index. */

/* The report: summary, DL4J's averages, warnings of never-predicted classes, per-class table, and the matrix for up to
 * 20 classes. */
void sl_metrics_print(const struct sl_metrics *metrics, const char *const *names, FILE *to);

/* The confusion matrix as CSV (RFC 4180): header row of predicted class names, first column the actual class. */
void sl_metrics_print_confusion(const struct sl_metrics *metrics, const char *const *names, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
