#include "runtime/train/statistics.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 }; /* floats that a rank sends at once */

static void average_block(const float *all, int ranks, size_t n, float *mean)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.0;
        for (int rank = 0; rank < ranks; rank++)
            sum += all[(size_t)rank * n + i];
        mean[i] = (float)(sum / ranks);
    }
}

int sl_statistics_mean(const struct sl_group *group, float *statistics, int64_t n)
{
    int rc = SL_OK;
    const size_t count = (size_t)n;
    if (sl_group_size(group) == 1)
        return SL_OK;
    float *all = malloc((size_t)group->size * BLOCK * sizeof *all);
    if (!all)
        rc = sl_fail(SL_SYSTEM, "out of memory for the running statistics of %d ranks", group->size);
    SL_TRY(sl_group_settle(group, rc));
    for (size_t at = 0; at < count; at += BLOCK) {
        const size_t length = count - at < BLOCK ? count - at : BLOCK;
        SL_TRY(group->gather(group->self, statistics + at, length * sizeof *all, all));
        average_block(all, group->size, length, statistics + at);
    }
out:
    free(all);
    return rc;
}

/* To the host. */
static int fetch(const struct sl_weights *weights, float *to)
{
    const struct sl_device *device = weights->device;
    const int rc = device->sync(device->self);
    return rc == SL_OK ? device->copy(device->self, to, weights->statistics, (size_t)weights->state * sizeof *to) : rc;
}

static int put(struct sl_weights *weights, const float *from)
{
    const struct sl_device *device = weights->device;
    return device->copy(device->self, weights->statistics, from, (size_t)weights->state * sizeof *from);
}

/* Two copies: one to keep, one to become the mean. */
static int keep(const struct sl_weights *weights, float **own, float **mean)
{
    int rc = SL_OK;
    const size_t bytes = (size_t)weights->state * sizeof **own;
    float *copy = malloc(bytes + 1);
    if (!copy || !(*mean = malloc(bytes + 1)))
        SL_FAIL(SL_SYSTEM, "out of memory for a copy of the running statistics");
    SL_TRY(fetch(weights, copy));
    memcpy(*mean, copy, bytes);
    *own = copy;
    copy = NULL;
out:
    free(copy);
    return rc;
}

int sl_statistics_average(struct sl_weights *weights, const struct sl_group *group, float **own)
{
    int rc = SL_OK;
    float *mean = NULL;
    *own = NULL;
    if (sl_group_size(group) == 1 || weights->state == 0)
        return SL_OK;
    SL_TRY(sl_group_settle(group, keep(weights, own, &mean)));
    SL_TRY(sl_statistics_mean(group, mean, weights->state));
    SL_TRY(sl_group_settle(group, put(weights, mean)));
out:
    free(mean);
    return rc;
}

int sl_statistics_restore(struct sl_weights *weights, float **own)
{
    const int rc = *own ? put(weights, *own) : SL_OK;
    free(*own);
    *own = NULL;
    return rc;
}
