/* What ranks have to agree about: before step 0, in every step, and now and then about their parameters. */
#ifndef SL_COMM_AGREE_H
#define SL_COMM_AGREE_H

#include "kernels/exec.h"
#include "kernels/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_agree_pair {
    const char *key, *value;
};

/* SL_DISAGREE on all ranks unless all have the same keys with the same values; names the first key that differs, both
 * values and the first rank that has another than rank 0. Collective. */
int sl_agree_pairs(const struct sl_group *group, const struct sl_agree_pair *pairs, size_t count);

/* A tensor by name: `floats` of it, less than 2^32, at `at`, in the memory of the device. */
struct sl_agree_tensor {
    const char *name;
    const float *at;
    int64_t floats;
};

/* SL_DISAGREE on all ranks unless all hold the same bits; names the ranks in the minority and the first tensor that
 * differs. The device takes their fingerprints (kernels/step/step.h): every device the same. *hash, which may be
 * NULL, is that of all tensors: XXH3-64 over their fingerprints in order. Collective. SL_SYSTEM, SL_UNAVAILABLE,
 * SL_IO. */
int sl_agree_tensors(const struct sl_group *group, const struct sl_device *device,
                     const struct sl_agree_tensor *tensors, size_t count, uint64_t *hash);

#ifdef __cplusplus
}
#endif
#endif
