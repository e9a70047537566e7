/* Classification metrics from integer counts, so that parts evaluated apart add up exactly: the loss as well, each
 * sample's rounded to a multiple of 2^-32, of which 178,956,970 samples of the greatest loss fit.
 *
 * Classes are ranked by their probability, equal ones by their index. This is the order of sl_top_classes, so that the
 * counts agree with the predictions. The first is the prediction; top-N is right if the true class is among the first
 * N. (DL4J counts a class that ties with the N-th as a hit, so a network that gives every class the same probability
 * has a top-5 of 100 %.)
 *
 * Macro averages come in two kinds:
 * - the usual one (scikit-learn's defaults): over the classes that occur or are predicted. An undefined value (0/0)
 *   counts as 0, so that a class that is never predicted lowers the average;
 * - DL4J's: over the classes whose value is defined, and how many were left out. It flatters where classes are never
 *   predicted. Two classes are averaged like any other number (DL4J silently reports class 1 alone).
 * MCC is the multi-class coefficient of the whole matrix (R_K of Gorodkin, 2004), 0 where it is undefined; DL4J's is
 * the macro average of the classes' own, one degenerate class of which makes it NaN there and is left out here.
 *
 * An undefined value of one class is NaN here and "-" in the report, except in the G-measure, which DL4J defines as 0.
 * In -ln p, p is taken to be at least 1e-10, DL4J's limit, so that one certain mistake does not make the loss infinite.
 */
#ifndef SL_RUNTIME_TRAIN_METRICS_H
#define SL_RUNTIME_TRAIN_METRICS_H

#include "kernels/group.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SL_METRICS_MAX_CLASSES = 65536,
    SL_METRICS_MAX_SAMPLES = 178956970, /* 2^64 / (24 * 2^32): no loss is 24 or more */
    SL_METRICS_MATRIX_CLASSES = 20,
    SL_METRICS_WARNED_CLASSES = 16
};

struct sl_metrics {
    int32_t classes, top_n;
    uint64_t samples, top_n_correct;
    uint64_t *confusion; /* [actual][predicted] */
    uint64_t loss;       /* sum of -ln p[true], each in units of 2^-32 */
};

/* SL_BAD_CONFIG: classes or top_n below 1, or too many classes. SL_SYSTEM: out of memory for the matrix. */
int sl_metrics_open(struct sl_metrics *metrics, int32_t classes, int32_t top_n);
void sl_metrics_close(struct sl_metrics *metrics);
void sl_metrics_reset(struct sl_metrics *metrics);

/* Adds `count` rows of probabilities (rows `stride` floats apart). SL_NUMERICS if a probability is not finite,
 * SL_BAD_DATA for a label out of range or a sample too many; nothing of the batch is counted then. */
int sl_metrics_add(struct sl_metrics *metrics, const float *p, int32_t stride, const int32_t *labels, int32_t count);

/* Adds another part's counts. SL_INTERNAL unless classes and top_n are the same; SL_BAD_DATA: too many samples. */
int sl_metrics_merge(struct sl_metrics *metrics, const struct sl_metrics *other);

/* The metrics of every rank become the sum of all; collective. What travels are the cells that are not 0, in blocks.
 * SL_INTERNAL, SL_BAD_DATA as above, SL_SYSTEM, SL_IO; the counts are undefined then. */
int sl_metrics_join(struct sl_metrics *metrics, const struct sl_group *group);

struct sl_class_metrics {
    uint64_t actual, predicted, correct;
    double precision, recall, f1; /* NaN: undefined (0/0); f1 needs both, and is 0 if both are 0 */
};
struct sl_class_metrics sl_metrics_class(const struct sl_metrics *metrics, int32_t c);

/* Without samples these are NaN. */
double sl_metrics_accuracy(const struct sl_metrics *metrics);
double sl_metrics_top_n(const struct sl_metrics *metrics);
double sl_metrics_mean_loss(const struct sl_metrics *metrics);
double sl_metrics_multiclass_mcc(const struct sl_metrics *metrics);

struct sl_average {
    double usual;     /* mean over the classes that occur or are predicted, undefined as 0; NaN if there is none */
    double defined;   /* DL4J's: mean over the classes where it is defined; NaN if there is none */
    int32_t present;  /* classes that occur or are predicted */
    int32_t excluded; /* classes where it is not defined */
};
struct sl_average sl_metrics_precision(const struct sl_metrics *metrics);
struct sl_average sl_metrics_recall(const struct sl_metrics *metrics);
struct sl_average sl_metrics_f1(const struct sl_metrics *metrics);
struct sl_average sl_metrics_mcc(const struct sl_metrics *metrics);
double sl_metrics_g_measure(const struct sl_metrics *metrics); /* DL4J's: over all classes, undefined ones as 0 */

/* Matthews correlation of one class against the rest; NaN if degenerate. */
double sl_metrics_class_mcc(const struct sl_metrics *metrics, int32_t c);
/* sqrt(precision * recall), undefined as 0. */
double sl_metrics_class_g_measure(const struct sl_metrics *metrics, int32_t c);

#ifdef __cplusplus
}
#endif
#endif
