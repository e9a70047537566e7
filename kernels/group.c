#include "kernels/group.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_BYTES = 1024 };

struct verdict {
    int32_t status;
    char text[TEXT_BYTES];
};

/* How bad a status is; a run that was asked to stop and did is the mildest. */
static int severity(int status)
{
    return status == SL_OK ? 0 : status == SL_PREEMPTED ? 1 : status;
}

/* The status alone first: while all is well, which is nearly always, that is all that travels. */
static int worst_rank(const struct sl_group *group, int rc, int *worst)
{
    const int32_t mine = rc;
    int32_t *all = malloc((size_t)group->size * sizeof *all);
    if (!all)
        return sl_fail(SL_SYSTEM, "out of memory for the statuses of %d ranks", group->size);
    const int gathered = group->gather(group->self, &mine, sizeof mine, all);
    *worst = -1;
    for (int i = 0; gathered == SL_OK && i < group->size; i++)
        if (severity(all[i]) > (*worst < 0 ? 0 : severity(all[*worst])))
            *worst = i;
    free(all);
    return gathered;
}

int sl_group_settle(const struct sl_group *group, int rc)
{
    int settled = SL_OK, worst = -1;
    struct verdict mine = {.status = rc}, *all = NULL;
    if (!group || group->size == 1)
        return rc;
    snprintf(mine.text, sizeof mine.text, "%s", rc == SL_OK ? "" : sl_last_error());
    if ((settled = worst_rank(group, rc, &worst)) != SL_OK || worst < 0)
        return settled;
    if (!(all = malloc((size_t)group->size * sizeof *all)))
        return sl_fail(SL_SYSTEM, "out of memory for the errors of %d ranks", group->size);
    settled = group->gather(group->self, &mine, sizeof mine, all);
    if (settled == SL_OK)
        settled = sl_fail(all[worst].status, "rank %d on %s: %.*s", worst, group->hosts[worst], TEXT_BYTES - 1,
                          all[worst].text);
    free(all);
    return settled;
}

int sl_group_vote(const struct sl_group *group, struct sl_vote *vote)
{
    int rc = SL_OK;
    struct sl_vote *all = NULL;
    if (!group || group->size == 1)
        return vote->status;
    const int32_t mine = vote->status;
    if (!(all = malloc((size_t)group->size * sizeof *all)))
        SL_FAIL(SL_SYSTEM, "out of memory for the votes of %d ranks", group->size);
    SL_TRY(group->gather(group->self, vote, sizeof *vote, all));
    *vote = (struct sl_vote){0};
    for (int i = 0; i < group->size; i++) {
        vote->loss_sum += all[i].loss_sum;
        vote->samples += all[i].samples;
        vote->bad |= all[i].bad;
        vote->stop |= all[i].stop;
        vote->status = severity(all[i].status) > severity(vote->status) ? all[i].status : vote->status;
    }
    if (vote->status != SL_OK)
        rc = sl_group_settle(group, mine);
out:
    free(all);
    return rc;
}
