/* Values of all classes together. */
#include <math.h>

#include "runtime/train/metrics.h"

typedef double class_value_fn(const struct sl_metrics *metrics, int32_t c);

static struct sl_average average(const struct sl_metrics *metrics, class_value_fn *value_of)
{
    struct sl_average mean = {0};
    double sum = 0;
    for (int32_t c = 0; c < metrics->classes; c++) {
        const struct sl_class_metrics class = sl_metrics_class(metrics, c);
        const double value = value_of(metrics, c);
        mean.present += class.actual || class.predicted;
        mean.excluded += isnan(value);
        sum += isnan(value) ? 0 : value;
    }
    const int32_t included = metrics->classes - mean.excluded;
    /* A class that is absent has no value of its own either, so the sums are the same. */
    mean.usual = mean.present ? sum / mean.present : NAN;
    mean.defined = included ? sum / included : NAN;
    return mean;
}

static double precision_of(const struct sl_metrics *metrics, int32_t c)
{
    return sl_metrics_class(metrics, c).precision;
}

static double recall_of(const struct sl_metrics *metrics, int32_t c)
{
    return sl_metrics_class(metrics, c).recall;
}

static double f1_of(const struct sl_metrics *metrics, int32_t c)
{
    return sl_metrics_class(metrics, c).f1;
}

struct sl_average sl_metrics_precision(const struct sl_metrics *metrics)
{
    return average(metrics, precision_of);
}

struct sl_average sl_metrics_recall(const struct sl_metrics *metrics)
{
    return average(metrics, recall_of);
}

struct sl_average sl_metrics_f1(const struct sl_metrics *metrics)
{
    return average(metrics, f1_of);
}

struct sl_average sl_metrics_mcc(const struct sl_metrics *metrics)
{
    return average(metrics, sl_metrics_class_mcc);
}

double sl_metrics_g_measure(const struct sl_metrics *metrics)
{
    double sum = 0;
    for (int32_t c = 0; c < metrics->classes; c++)
        sum += sl_metrics_class_g_measure(metrics, c);
    return sum / metrics->classes;
}

/* (tp tn - fp fn) / sqrt((tp + fp)(tp + fn)(tn + fp)(tn + fn)) */
double sl_metrics_class_mcc(const struct sl_metrics *metrics, int32_t c)
{
    const struct sl_class_metrics class = sl_metrics_class(metrics, c);
    const double tp = (double)class.correct, fp = (double)(class.predicted - class.correct);
    const double fn = (double)(class.actual - class.correct), tn = (double)metrics->samples - tp - fp - fn;
    return (tp * tn - fp * fn) / (sqrt((tp + fp) * (tp + fn)) * sqrt((tn + fp) * (tn + fn)));
}

double sl_metrics_class_g_measure(const struct sl_metrics *metrics, int32_t c)
{
    const struct sl_class_metrics class = sl_metrics_class(metrics, c);
    return isnan(class.f1) ? 0 : sqrt(class.precision * class.recall);
}

/* (correct s - sum p_c a_c) / sqrt((s^2 - sum p_c^2)(s^2 - sum a_c^2)), s samples, p_c predicted as and a_c of class c.
 */
double sl_metrics_multiclass_mcc(const struct sl_metrics *metrics)
{
    const double s = (double)metrics->samples;
    double correct = 0, both = 0, predicted = 0, actual = 0;
    if (!metrics->samples)
        return NAN;
    for (int32_t c = 0; c < metrics->classes; c++) {
        const struct sl_class_metrics class = sl_metrics_class(metrics, c);
        correct += (double)class.correct;
        both += (double)class.predicted * (double)class.actual;
        predicted += (double)class.predicted * (double)class.predicted;
        actual += (double)class.actual * (double)class.actual;
    }
    const double below = sqrt(s * s - predicted) * sqrt(s * s - actual);
    return below > 0 ? (correct * s - both) / below : 0;
}
