#include "runtime/train/metrics.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The smallest probability a loss is taken of. */
static const double SMALLEST = 1e-10;

static size_t cells(const struct sl_metrics *metrics)
{
    return (size_t)metrics->classes * (size_t)metrics->classes;
}

int sl_metrics_open(struct sl_metrics *metrics, int32_t classes, int32_t top_n)
{
    memset(metrics, 0, sizeof *metrics);
    if (classes < 1 || classes > SL_METRICS_MAX_CLASSES || top_n < 1)
        return sl_fail(SL_BAD_CONFIG,
                       "metrics of %" PRId32 " classes and top %" PRId32 ": at least 1 of each, at most %d classes",
                       classes, top_n, SL_METRICS_MAX_CLASSES);
    metrics->classes = classes;
    metrics->top_n = top_n;
    metrics->confusion = calloc(cells(metrics), sizeof *metrics->confusion);
    if (!metrics->confusion)
        return sl_fail(SL_SYSTEM, "out of memory for the confusion matrix of %" PRId32 " classes", classes);
    return SL_OK;
}

void sl_metrics_close(struct sl_metrics *metrics)
{
    free(metrics->confusion);
    memset(metrics, 0, sizeof *metrics);
}

void sl_metrics_reset(struct sl_metrics *metrics)
{
    memset(metrics->confusion, 0, cells(metrics) * sizeof *metrics->confusion);
    metrics->samples = metrics->top_n_correct = metrics->loss = 0;
}

/* Room for `more` samples, whatever their losses. */
static int check_room(const struct sl_metrics *metrics, uint64_t more)
{
    if (more <= SL_METRICS_MAX_SAMPLES && metrics->samples <= SL_METRICS_MAX_SAMPLES - more)
        return SL_OK;
    return sl_fail(SL_BAD_DATA, "metrics count at most %d samples", SL_METRICS_MAX_SAMPLES);
}

static int check(const struct sl_metrics *metrics, const float *p, int32_t stride, const int32_t *labels, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (labels[i] < 0 || labels[i] >= metrics->classes)
            return sl_fail(SL_BAD_DATA, "row %" PRId32 ": label %" PRId32 " is not one of %" PRId32 " classes", i,
                           labels[i], metrics->classes);
        for (int32_t c = 0; c < metrics->classes; c++)
            if (!isfinite(p[(size_t)i * (size_t)stride + (size_t)c]))
                return sl_fail(SL_NUMERICS, "row %" PRId32 ": the probability of class %" PRId32 " is not finite", i,
                               c);
    }
    return SL_OK;
}

static void add_row(struct sl_metrics *metrics, const float *p, int32_t label)
{
    int32_t predicted = 0, ahead = 0;
    for (int32_t c = 0; c < metrics->classes; c++) {
        if (p[c] > p[predicted])
            predicted = c;
        ahead += p[c] > p[label] || (c < label && p[c] == p[label]);
    }
    metrics->samples++;
    metrics->top_n_correct += ahead < metrics->top_n;
    metrics->confusion[(size_t)label * (size_t)metrics->classes + (size_t)predicted]++;
    metrics->loss += (uint64_t)rint(-log(fmin(fmax(p[label], SMALLEST), 1.0)) * 0x1p32);
}

int sl_metrics_add(struct sl_metrics *metrics, const float *p, int32_t stride, const int32_t *labels, int32_t count)
{
    int rc = SL_OK;
    assert(stride >= metrics->classes && count >= 0);
    SL_TRY(check_room(metrics, (uint64_t)count));
    SL_TRY(check(metrics, p, stride, labels, count));
    for (int32_t i = 0; i < count; i++)
        add_row(metrics, p + (size_t)i * (size_t)stride, labels[i]);
out:
    return rc;
}

int sl_metrics_merge(struct sl_metrics *metrics, const struct sl_metrics *other)
{
    if (metrics->classes != other->classes || metrics->top_n != other->top_n)
        return sl_fail(SL_INTERNAL,
                       "metrics of %" PRId32 " classes, top %" PRId32 " and of %" PRId32 ", top %" PRId32
                       " do not add up",
                       metrics->classes, metrics->top_n, other->classes, other->top_n);
    const int rc = check_room(metrics, other->samples);
    if (rc != SL_OK)
        return rc;
    for (size_t i = 0; i < cells(metrics); i++)
        metrics->confusion[i] += other->confusion[i];
    metrics->samples += other->samples;
    metrics->top_n_correct += other->top_n_correct;
    metrics->loss += other->loss;
    return SL_OK;
}

struct sl_class_metrics sl_metrics_class(const struct sl_metrics *metrics, int32_t c)
{
    const size_t n = (size_t)metrics->classes, at = (size_t)c;
    struct sl_class_metrics class = {.correct = metrics->confusion[at * n + at], .f1 = NAN};
    for (size_t i = 0; i < n; i++) {
        class.actual += metrics->confusion[at * n + i];
        class.predicted += metrics->confusion[i * n + at];
    }
    class.precision = class.predicted ? (double)class.correct / (double)class.predicted : NAN;
    class.recall = class.actual ? (double)class.correct / (double)class.actual : NAN;
    if (class.predicted && class.actual)
        class.f1 = 2 * (double)class.correct / (double)(class.predicted + class.actual);
    return class;
}

static double ratio(double part, uint64_t samples)
{
    return samples ? part / (double)samples : NAN;
}

double sl_metrics_accuracy(const struct sl_metrics *metrics)
{
    uint64_t correct = 0;
    for (int32_t c = 0; c < metrics->classes; c++)
        correct += metrics->confusion[(size_t)c * (size_t)metrics->classes + (size_t)c];
    return ratio((double)correct, metrics->samples);
}

double sl_metrics_top_n(const struct sl_metrics *metrics)
{
    return ratio((double)metrics->top_n_correct, metrics->samples);
}

double sl_metrics_mean_loss(const struct sl_metrics *metrics)
{
    return ratio((double)metrics->loss * 0x1p-32, metrics->samples);
}
