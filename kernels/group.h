/* The ranks that work on one thing together, as everybody sees them: who has data, a store or metrics to share needs
 * this and no MPI. It lies at the ground so that `runtime` can ask and `comm` can answer. NULL: this process is alone.
 *
 * Every call is collective: all ranks make the same calls in the same order. A failure of the calls themselves (SL_IO,
 * SL_SYSTEM, SL_UNAVAILABLE) is final: what the other ranks received is unknown, the job has to end, and every further
 * call may fail with it. */
#ifndef SL_KERNELS_GROUP_H
#define SL_KERNELS_GROUP_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_group {
    int rank, size;
    const char *const *hosts; /* [size]: of each rank, for messages */
    void *self;
    /* all[i * bytes ...] becomes what rank i calls `mine`; `bytes` is the same on all ranks. */
    int (*gather)(void *self, const void *mine, size_t bytes, void *all);
    /* Of unequal lengths: *all, which the caller frees, holds the parts end to end in rank order; that of rank i begins
     * at offsets[i] and ends at offsets[i + 1]. `offsets` has size + 1 places. */
    int (*gather_parts)(void *self, const void *mine, size_t bytes, void **all, size_t *offsets);
};

static inline int sl_group_rank(const struct sl_group *group)
{
    return group ? group->rank : 0;
}

static inline int sl_group_size(const struct sl_group *group)
{
    return group ? group->size : 1;
}

/* All ranks return the same status: SL_OK if all say so, else the worst, and the detail of every rank becomes
 * "rank R on HOST: ..." of the one that had it. The worst is the greatest status, SL_PREEMPTED being the mildest;
 * of equal ones, the lowest rank's. Alone it returns `rc`. */
int sl_group_settle(const struct sl_group *group, int rc);

/* One step of training, as a rank sees it; after the vote, as all of them together do. */
struct sl_vote {
    double loss_sum;  /* added up in rank order */
    uint64_t samples; /* added up */
    uint32_t bad;     /* sl_step_fault of any rank */
    uint32_t stop;    /* any rank wants to stop after this step */
    int32_t status;   /* of a rank whose step failed; the worst of all */
};

/* Joins the votes of all ranks; collective. Where a status is not SL_OK, the detail is settled as above and that status
 * is returned by all. */
int sl_group_vote(const struct sl_group *group, struct sl_vote *vote);

#ifdef __cplusplus
}
#endif
#endif
