/* What kernels take for granted of whoever runs them, as questions for the assertions at their entrances. Assertions
 * are compiled where SL_ASSERT is on (the test presets), so that a release pays nothing for them. */
#ifndef SL_KERNELS_CONTRACT_H
#define SL_KERNELS_CONTRACT_H

#include <assert.h>
#include <string.h>

#include "kernels/kernels.h"

/* Is this a slice of that many units? */
static inline bool sl_slice_is_within(const struct sl_work *work, int64_t units)
{
    return 0 <= work->begin && work->begin <= work->end && work->end <= units;
}

/* Does the row that `need` speaks for take the shape, is the work a slice of its units, and are scratch and state
 * there? The scratch's size cannot be seen from here. */
static inline bool sl_work_fits(const struct sl_work *work, bool (*need)(const void *shape, struct sl_need *need),
                                const void *shape)
{
    struct sl_need wanted;
    memset(&wanted, 0, sizeof wanted);
    return need(shape, &wanted) && sl_slice_is_within(work, wanted.units) &&
           (wanted.scratch == 0 || (work->scratch && (uintptr_t)work->scratch % 64 == 0)) &&
           (wanted.state == 0 || work->state);
}

/* Do two runs of elements share nothing? */
static inline bool sl_are_apart(enum sl_element element, const void *a, size_t a_count, const void *b, size_t b_count)
{
    const uintptr_t p = (uintptr_t)a, q = (uintptr_t)b;
    const size_t bytes = sl_element_bytes(element);
    return p + a_count * bytes <= q || q + b_count * bytes <= p;
}
#endif
