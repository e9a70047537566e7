/* Steps that are recorded once and replayed. All that differs from one step to the next lies in the memory of the
 * device: the packet of the pass, and its images. */
#include <string.h>

#include "runtime/plan/plan_internal.h"

/* Whole batches alone: the short one at an epoch's end has other shapes, and comes once. */
static bool may_record(const struct sl_plan *plan)
{
    return plan->records && !plan->device->listener && plan->pass.count == plan->options.batch;
}

static bool is_of(const struct sl_plan_recording *recording, const struct sl_plan *plan, const void *owner)
{
    return recording->seen && recording->owner == owner &&
           !memcmp(&recording->of, &plan->conversion, sizeof recording->of);
}

/* The one for such steps, or the place of another's. */
static struct sl_plan_recording *find(struct sl_plan *plan, const void *owner)
{
    for (int i = 0; i < SL_PLAN_SLOTS; i++)
        if (is_of(&plan->recordings[i], plan, owner))
            return &plan->recordings[i];
    for (int i = 0; i < SL_PLAN_SLOTS; i++)
        if (!plan->recordings[i].seen)
            return &plan->recordings[i];
    return &plan->recordings[plan->feed.slot];
}

static void forget(const struct sl_plan *plan, struct sl_plan_recording *recording)
{
    if (recording->recorded)
        plan->device->forget(plan->device->self, recording->recorded);
    memset(recording, 0, sizeof *recording);
}

void sl_plan_forget(struct sl_plan *plan)
{
    for (int i = 0; i < SL_PLAN_SLOTS; i++)
        forget(plan, &plan->recordings[i]);
}

/* Nothing has run yet. Where the device cannot record the work, for whatever reason, steps stay as they are, and a
 * failure that is the work's own shows there. */
static void record(struct sl_plan *plan, struct sl_plan_recording *recording, int (*work)(void *self), void *self)
{
    const struct sl_device *device = plan->device;
    plan->records = false;
    if (device->record_begin(device->self) != SL_OK)
        return;
    const int rc = work(self);
    if (device->record_end(device->self, rc == SL_OK ? &recording->recorded : NULL) != SL_OK)
        recording->recorded = NULL;
    plan->records = recording->recorded != NULL;
}

static int replay(struct sl_plan *plan, const struct sl_plan_recording *recording, bool *run)
{
    const int rc = plan->device->replay(plan->device->self, recording->recorded, run);
    plan->replays += rc == SL_OK && *run;
    return rc;
}

int sl_plan_replay(struct sl_plan *plan, const void *owner, int (*work)(void *self), void *self)
{
    int rc = SL_OK;
    bool run = false;
    if (!may_record(plan))
        return work(self);
    struct sl_plan_recording *recording = find(plan, owner);
    const bool known = is_of(recording, plan, owner);
    if (known && !recording->recorded) /* it comes for the second time */
        record(plan, recording, work, self);
    if (known && recording->recorded)
        SL_TRY(replay(plan, recording, &run));
    if (run)
        goto out;
    forget(plan, recording);
    SL_TRY(work(self));
    memcpy(&recording->of, &plan->conversion, sizeof recording->of); /* with its padding */
    recording->owner = owner;
    recording->seen = true;
out:
    return rc;
}

uint64_t sl_plan_replays(const struct sl_plan *plan)
{
    return plan->replays;
}
