#include "comm/residual.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "comm/host_room.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/launch.h"
#include "kernels/threshold/threshold.h"

/* What an operation writes on the device, and the host's copy of it: the same where the host reads the device's
 * memory. */
struct result {
    void *on_device, *on_host;
};

struct sl_residual {
    const struct sl_device *device;
    int64_t n, chunks;
    void *r;
    struct result entries, counts, sample, lost, squares;
    struct sl_choice encode, clip, sampling, sum_squares;
};

static int open_result(const struct sl_residual *residual, size_t bytes, struct result *result)
{
    const struct sl_device *device = residual->device;
    const int rc = device->alloc(device->self, bytes, &result->on_device);
    if (rc != SL_OK)
        return rc;
    result->on_host = result->on_device;
    return device->host_memory ? SL_OK : sl_host_room_open(device, bytes, &result->on_host);
}

static void close_result(const struct sl_residual *residual, struct result *result)
{
    const struct sl_device *device = residual->device;
    if (result->on_host != result->on_device)
        sl_host_room_close(device, result->on_host);
    device->free(device->self, result->on_device);
}

/* Begins to bring `bytes` from `at` on to the host; the device has done what makes them. */
static int bring(const struct sl_residual *residual, const struct result *result, size_t at, size_t bytes)
{
    const struct sl_device *device = residual->device;
    if (device->host_memory || bytes == 0)
        return SL_OK;
    return device->copy(device->self, (char *)result->on_host + at, (const char *)result->on_device + at, bytes);
}

/* Waits for the device, and brings the first `bytes` to the host. */
static int fetch(const struct sl_residual *residual, const struct result *result, size_t bytes)
{
    int rc = SL_OK;
    const struct sl_device *device = residual->device;
    SL_TRY(device->sync(device->self));
    SL_TRY(bring(residual, result, 0, bytes));
    SL_TRY(sl_host_room_wait(device));
out:
    return rc;
}

static struct sl_threshold shape_of(const struct sl_residual *residual)
{
    return (struct sl_threshold){.n = residual->n};
}

static int open_results(struct sl_residual *residual)
{
    int rc = SL_OK;
    const size_t n = (size_t)residual->n, chunks = (size_t)residual->chunks;
    SL_TRY(open_result(residual, n * sizeof(uint32_t), &residual->entries));
    SL_TRY(open_result(residual, chunks * sizeof(int64_t), &residual->counts));
    SL_TRY(open_result(residual, (size_t)sl_threshold_samples(residual->n) * sizeof(float), &residual->sample));
    SL_TRY(open_result(residual, chunks * sizeof(double), &residual->lost));
    SL_TRY(open_result(residual, (size_t)sl_flat_units(residual->n) * sizeof(double), &residual->squares));
out:
    return rc;
}

uint64_t sl_residual_memory(const struct sl_device *device, int64_t n)
{
    const uint64_t entries = (uint64_t)n * sizeof(uint32_t),
                   samples = (uint64_t)sl_threshold_samples(n) * sizeof(float);
    return (uint64_t)n * sizeof(float) + (entries + samples) * (device->host_memory ? 1 : 2);
}

int sl_residual_open(const struct sl_device *device, int64_t n, struct sl_residual **residual)
{
    int rc = SL_OK;
    const struct sl_threshold shape = {.n = n};
    const struct sl_flat flat = {.n = n};
    struct sl_residual *made = calloc(1, sizeof *made);
    assert(1 <= n && n <= INT32_MAX);
    if (!made)
        return sl_fail(SL_SYSTEM, "out of memory for a residual");
    *made = (struct sl_residual){.device = device, .n = n, .chunks = sl_threshold_chunks(n)};
    SL_TRY(device->alloc(device->self, (size_t)n * sizeof(float), &made->r));
    SL_TRY(device->fill(device->self, made->r, 0, (size_t)n * sizeof(float)));
    SL_TRY(open_results(made));
    SL_TRY(sl_choose_threshold_encode(device, &shape, &made->encode));
    SL_TRY(sl_choose_threshold_clip(device, &shape, &made->clip));
    SL_TRY(sl_choose_threshold_sample(device, &shape, &made->sampling));
    SL_TRY(sl_choose_sum_squares(device, &flat, &made->sum_squares));
    *residual = made;
    made = NULL;
out:
    sl_residual_close(made);
    return rc;
}

void sl_residual_close(struct sl_residual *residual)
{
    if (!residual)
        return;
    close_result(residual, &residual->entries);
    close_result(residual, &residual->counts);
    close_result(residual, &residual->sample);
    close_result(residual, &residual->lost);
    close_result(residual, &residual->squares);
    residual->device->free(residual->device->self, residual->r);
    sl_choice_close(&residual->encode);
    sl_choice_close(&residual->clip);
    sl_choice_close(&residual->sampling);
    sl_choice_close(&residual->sum_squares);
    free(residual);
}

float *sl_residual_floats(const struct sl_residual *residual)
{
    return residual->r;
}

int sl_residual_sample(struct sl_residual *residual, const float *u, const float **sample, size_t *m)
{
    int rc = SL_OK;
    const struct sl_threshold shape = shape_of(residual);
    const struct sl_threshold_sample args = {residual->r, u, residual->sample.on_device};
    *m = (size_t)sl_threshold_samples(residual->n);
    SL_TRY(sl_launch_threshold_sample(&residual->sampling, &shape, &args));
    SL_TRY(fetch(residual, &residual->sample, *m * sizeof(float)));
    *sample = residual->sample.on_host;
out:
    return rc;
}

int sl_residual_encode(struct sl_residual *residual, const float *u, float tau, bool dense, const uint32_t **entries,
                       const int64_t **counts)
{
    int rc = SL_OK;
    const struct sl_threshold shape = shape_of(residual);
    const struct sl_threshold_encode args = {.r = residual->r,
                                             .u = u,
                                             .tau = tau,
                                             .dense = dense,
                                             .entries = residual->entries.on_device,
                                             .counts = residual->counts.on_device};
    const int64_t *count = residual->counts.on_host;
    SL_TRY(sl_launch_threshold_encode(&residual->encode, &shape, &args));
    SL_TRY(fetch(residual, &residual->counts, (size_t)residual->chunks * sizeof *count));
    for (int64_t c = 0; c < residual->chunks; c++)
        SL_TRY(bring(residual, &residual->entries, (size_t)c * SL_THRESHOLD_CHUNK * sizeof(uint32_t),
                     (size_t)count[c] * sizeof(uint32_t)));
    SL_TRY(sl_host_room_wait(residual->device));
    *entries = residual->entries.on_host;
    *counts = count;
out:
    return rc;
}

static double add_up(const double *terms, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++)
        sum += terms[i];
    return sum;
}

int sl_residual_clip(struct sl_residual *residual, float limit, double *lost)
{
    int rc = SL_OK;
    const struct sl_threshold shape = shape_of(residual);
    const struct sl_threshold_clip args = {residual->r, limit, residual->lost.on_device};
    SL_TRY(sl_launch_threshold_clip(&residual->clip, &shape, &args));
    SL_TRY(fetch(residual, &residual->lost, (size_t)residual->chunks * sizeof(double)));
    *lost = add_up(residual->lost.on_host, residual->chunks);
out:
    return rc;
}

int sl_residual_norm(struct sl_residual *residual, double *norm)
{
    int rc = SL_OK;
    const int64_t units = sl_flat_units(residual->n);
    const struct sl_flat shape = {.n = residual->n};
    const struct sl_sum_squares args = {residual->r, residual->squares.on_device};
    SL_TRY(sl_launch_sum_squares(&residual->sum_squares, &shape, &args));
    SL_TRY(fetch(residual, &residual->squares, (size_t)units * sizeof(double)));
    *norm = sqrt(add_up(residual->squares.on_host, units));
out:
    return rc;
}
