/* Where the time of training steps goes: what each kernel takes, layer by layer, inside the steps. It listens to the
 * launches of a device; while nobody does, no clock is read. On a device that works on after a launch it waits for
 * each, so that a profiled step may be slower than others. */
#ifndef SL_RUNTIME_TRAIN_PROFILE_H
#define SL_RUNTIME_TRAIN_PROFILE_H

#include "runtime/plan/plan.h"
#include "runtime/train/updater.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of one kernel in one layer, over all steps. */
struct sl_profile_row {
    const char *layer; /* the layer's name; "" for the work of the plan, the updater and the exchange */
    const struct sl_kernel_row *kernel;
    bool pack; /* it re-ordered weights */
    double seconds;
};

struct sl_profile_totals {
    uint64_t steps;
    double seconds; /* of the steps */
    double waited;  /* of those, for data */
    double kernels; /* and in the rows */
};

struct sl_profile;

/* For a plan, which must outlive the profile, and the device it was opened on. SL_SYSTEM. */
int sl_profile_open(struct sl_device *device, const struct sl_plan *plan, struct sl_profile **profile);
void sl_profile_close(struct sl_profile *profile);

/* Around a step of training; `waited`: seconds that it waited for data. NULL: nothing happens. */
void sl_profile_begin_step(struct sl_profile *profile);
void sl_profile_end_step(struct sl_profile *profile, double waited);

struct sl_profile_totals sl_profile_total(const struct sl_profile *profile);

/* In the order in which a step comes to them. */
size_t sl_profile_rows(const struct sl_profile *profile, const struct sl_profile_row **rows);

#ifdef __cplusplus
}
#endif
#endif
