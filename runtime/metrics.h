/* Classification metrics: everything DL4J's Evaluation.stats() knows, from integer counts, so that parts evaluated
 * apart add up exactly.
 *
 * As in DL4J: the prediction is the argmax, ties to the lowest index; top-N is correct if fewer than N classes have a
 * strictly greater probability; averages leave out classes whose value is undefined and say how many; F1 is averaged
 * per class. Better than DL4J, and said so in the report:
 * - two classes are averaged like any other number (DL4J silently reports class 1 alone);
 * - the macro MCC leaves out degenerate classes and says how many (one such class makes DL4J's NaN);
 * - an undefined value of one class is NaN here and "-" in the report, not 0, except in the G-measure, which DL4J
 * defines so;
 * - the per-class table is printed, for any number of classes;
 * - -ln p is held to p >= 1e-10, DL4J's own limit, so that one certain mistake does not make the loss infinite. */
#ifndef SL_RUNTIME_METRICS_H
#define SL_RUNTIME_METRICS_H

#include <stdio.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_METRICS_MAX_CLASSES = 65536, SL_METRICS_MATRIX_CLASSES = 20, SL_METRICS_WARNED_CLASSES = 16 };

struct sl_metrics {
    int32_t classes, top_n;
    uint64_t samples, top_n_correct;
    uint64_t *confusion; /* [actual][predicted] */
    double loss;         /* sum of -ln p[true] */
};

/* SL_BAD_CONFIG: classes or top_n below 1, or too many classes. SL_SYSTEM: no memory for the matrix. */
int sl_metrics_open(struct sl_metrics *metrics, int32_t classes, int32_t top_n);
void sl_metrics_close(struct sl_metrics *metrics);
void sl_metrics_reset(struct sl_metrics *metrics);

/* Adds `count` rows of probabilities (rows `stride` floats apart). SL_NUMERICS if a probability is not finite,
 * SL_BAD_DATA for a label out of range; nothing of the batch is counted then. */
int sl_metrics_add(struct sl_metrics *metrics, const float *p, int32_t stride, const int32_t *labels, int32_t count);

/* Adds another part's counts. SL_INTERNAL unless classes and top_n are the same. */
int sl_metrics_merge(struct sl_metrics *metrics, const struct sl_metrics *other);

struct sl_class_metrics {
    uint64_t actual, predicted, correct;
    double precision, recall, f1; /* NaN: undefined (0/0); f1 needs both, and is 0 if both are 0 */
};
struct sl_class_metrics sl_metrics_class(const struct sl_metrics *metrics, int32_t c);

struct sl_average {
    double value;     /* mean over the classes where it is defined; NaN if there is none */
    int32_t excluded; /* classes left out */
};
double sl_metrics_accuracy(const struct sl_metrics *metrics); /* these three are NaN without samples */
double sl_metrics_top_n(const struct sl_metrics *metrics);
double sl_metrics_mean_loss(const struct sl_metrics *metrics);
struct sl_average sl_metrics_precision(const struct sl_metrics *metrics);
struct sl_average sl_metrics_recall(const struct sl_metrics *metrics);
struct sl_average sl_metrics_f1(const struct sl_metrics *metrics);
struct sl_average sl_metrics_mcc(const struct sl_metrics *metrics);
double sl_metrics_g_measure(const struct sl_metrics *metrics); /* over all classes, undefined ones as 0 */

/* Matthews correlation of one class against the rest; NaN if degenerate. */
double sl_metrics_class_mcc(const struct sl_metrics *metrics, int32_t c);
/* sqrt(precision * recall), undefined as 0. */
double sl_metrics_class_g_measure(const struct sl_metrics *metrics, int32_t c);

/* The report: summary, warnings of never-predicted classes, per-class table, and the matrix for up to 20 classes.
 * `names` may be NULL: then classes are called by their index. SL_IO. */
int sl_metrics_print(const struct sl_metrics *metrics, const char *const *names, FILE *to);

/* The confusion matrix as CSV (RFC 4180), written atomically: header row of predicted class names, first column the
 * actual class. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_metrics_write_confusion(const struct sl_metrics *metrics, const char *const *names, const char *path);

#ifdef __cplusplus
}
#endif
#endif
