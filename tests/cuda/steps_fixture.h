/* How far one run of the tiny network is from another. */
#ifndef SL_TESTS_CUDA_STEPS_FIXTURE_H
#define SL_TESTS_CUDA_STEPS_FIXTURE_H

#include "tests/cuda/emulated_device.h"

#include <math.h>

#include "runtime/device/parallel.h"
#include "runtime/store/served_model.h"
#include "tests/cuda/tiny_session.h"

static inline void open_session_as(const struct sl_device *device, enum sl_element precision, enum sl_policy kernels,
                                   struct sl_session *session)
{
    struct sl_session_options options = tiny_options(device);
    options.precision = precision;
    options.kernels = kernels;
    assert_ok(sl_session_open(&options, build_tiny, NULL, session));
}

static inline void open_session(const struct sl_device *device, enum sl_element precision, struct sl_session *session)
{
    open_session_as(device, precision, SL_POLICY_DEFAULT, session);
}

/* The references, whose sums are in double. */
static inline void reference_open(struct sl_device *device)
{
    assert_ok(sl_device_cpu_open(1, device));
    device->isa = SL_CPU;
}

/* The distance of two arrays, beside the length of the second. */
static inline double distance(const float *got, const float *wanted, int64_t n)
{
    double difference = 0, length = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += pow((double)got[i] - (double)wanted[i], 2);
        length += pow((double)wanted[i], 2);
    }
    return sqrt(difference / length);
}

static inline double distance_of_weights(const struct sl_session *a, const struct sl_session *b)
{
    const int64_t n = b->weights->trained;
    float *got = copy_back(a, a->weights->values, n), *wanted = copy_back(b, b->weights->values, n);
    const double off = distance(got, wanted, n);
    free(got);
    free(wanted);
    return off;
}

static inline double distance_of_statistics(const struct sl_session *a, const struct sl_session *b)
{
    const int64_t n = b->weights->state;
    float *got = copy_back(a, a->weights->statistics, n), *wanted = copy_back(b, b->weights->statistics, n);
    const double off = distance(got, wanted, n);
    free(got);
    free(wanted);
    return off;
}

static inline double validate(struct sl_session *session)
{
    struct sl_metrics metrics;
    assert_ok(sl_metrics_open(&metrics, CLASSES, 2));
    assert_ok(sl_session_validate(session, &metrics, NULL));
    const double loss = sl_metrics_mean_loss(&metrics);
    sl_metrics_close(&metrics);
    return loss;
}

static inline void assert_near(const char *what, double off, double limit)
{
    if (!(off <= limit))
        fail_msg("%s: off by %.2e, the limit is %.2e", what, off, limit);
}

/* Is a row of that name part of the plan? Else the comparison is one of something else. */
static inline void assert_has_row(const struct sl_session *session, const char *symbol)
{
    const struct sl_plan_choice *choices;
    const size_t count = sl_plan_choices(session->training, &choices);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(sl_choice_row(choices[i].choice)->symbol, symbol))
            return;
    fail_msg("the plan has no %s", symbol);
}
#endif
