#include "runtime/train/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/device/host_copy.h"

static void add_up(const float *all, int ranks, size_t n, float *average)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int rank = 0; rank < ranks; rank++)
            sum += all[(size_t)rank * n + i];
        average[i] = (float)(sum / ranks);
    }
}

int sl_statistics_average(const struct sl_weights *weights, const struct sl_group *group, float *average)
{
    int rc = SL_OK;
    const int ranks = sl_group_size(group);
    const size_t n = (size_t)weights->state, bytes = n * sizeof(float);
    const void *mine = NULL;
    void *owned = NULL;
    float *all = NULL;
    rc = sl_host_copy(weights->device, weights->statistics, bytes, &mine, &owned);
    if (rc == SL_OK && ranks > 1 && !(all = malloc((size_t)ranks * bytes + 1)))
        rc = sl_fail(SL_SYSTEM, "out of memory for the running statistics of %d ranks", ranks);
    SL_TRY(sl_group_settle(group, rc));
    if (ranks == 1) {
        memcpy(average, mine, bytes);
        goto out;
    }
    SL_TRY(group->gather(group->self, mine, bytes, all));
    add_up(all, ranks, n, average);
out:
    free(all);
    free(owned);
    return rc;
}
