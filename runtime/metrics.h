/* Classification metrics: everything DL4J's Evaluation.stats() knows, from integer counts, so that parts evaluated
 * apart add up exactly. Definitions follow DL4J (shared prediction rule: argmax, ties to the lowest index; top-N correct if fewer than N classes have
 * a strictly greater probability; averages leave out classes with an undefined value and say how many). */
#ifndef SL_RUNTIME_METRICS_H
#define SL_RUNTIME_METRICS_H

#include <stdio.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_metrics {
    int32_t classes, top_n;
    uint64_t samples, top_n_correct;
    uint64_t *confusion; /* [actual][predicted] */
    double loss;         /* sum of -ln p[true] */
};

int sl_metrics_open(struct sl_metrics *metrics, int32_t classes, int32_t top_n);
void sl_metrics_close(struct sl_metrics *metrics);
void sl_metrics_reset(struct sl_metrics *metrics);

/* Adds `count` rows of probabilities (rows `stride` floats apart). SL_NUMERICS if a probability is not finite, SL_BAD_DATA for a label out of range;
 * nothing of the batch is counted then. */
int sl_metrics_add(struct sl_metrics *metrics, const float *p, int32_t stride, const int32_t *labels, int32_t count);

/* Adds another part's counts; same classes and top_n. */
int sl_metrics_merge(struct sl_metrics *metrics, const struct sl_metrics *other);

struct sl_class_metrics {
    uint64_t actual, predicted, correct;
    double precision, recall, f1; /* NaN: undefined (0/0) */
};
struct sl_class_metrics sl_metrics_class(const struct sl_metrics *metrics, int32_t c);

struct sl_average {
    double value;     /* NaN if no class is defined */
    int32_t excluded; /* classes left out */
};
double sl_metrics_accuracy(const struct sl_metrics *metrics);
double sl_metrics_top_n(const struct sl_metrics *metrics);
double sl_metrics_mean_loss(const struct sl_metrics *metrics);
struct sl_average sl_metrics_precision(const struct sl_metrics *metrics);
struct sl_average sl_metrics_recall(const struct sl_metrics *metrics);
struct sl_average sl_metrics_f1(const struct sl_metrics *metrics);
double sl_metrics_class_mcc(const struct sl_metrics *metrics, int32_t c); /* Matthews, one against the rest; NaN if degenerate */
double sl_metrics_class_g_measure(const struct sl_metrics *metrics, int32_t c);

/* The report: summary, warnings of never-predicted classes, per-class table, and the matrix for up to 20 classes. `names` may be NULL. */
int sl_metrics_print(const struct sl_metrics *metrics, const char *const *names, FILE *to);

/* The confusion matrix as CSV: header row of predicted class names, first column the actual class. */
int sl_metrics_write_confusion(const struct sl_metrics *metrics, const char *const *names, const char *path);

#ifdef __cplusplus
}
#endif
#endif
