/* One training step: forward, backward, hooks, update. Knows no MPI: what others learned comes in through the hooks,
 * which speak of plain spans of floats. */
#ifndef SL_RUNTIME_TRAIN_TRAIN_STEP_H
#define SL_RUNTIME_TRAIN_TRAIN_STEP_H

#include "runtime/plan/plan.h"
#include "runtime/train/updater.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an exchange plugs in; either may be NULL. Both return an sl_status. The spans lie in the memory of the device,
 * which may still be working on them: its copy and fork come in turn. */
struct sl_train_hooks {
    /* The mean gradient of this worker's batch, before the updater: `dense` replaces it by everybody's mean. */
    int (*gradient)(void *self, struct sl_span gradient);
    /* The updater's output (learning rate included), before it is subtracted: `threshold` keeps what it does not send
     * in its residual and replaces the rest by everybody's decoded sum. */
    int (*update)(void *self, struct sl_span update);
    void *self;
};

struct sl_train_input {
    struct sl_plan_input batch; /* its rate is set by the step, from `rate` */
    double rate;                /* the learning rate */
};

struct sl_train_result {
    double loss;  /* mean over the batch */
    double score; /* loss + l2 * half the squared norm of the weights, as DL4J prints */
};

/* Runs one step: enqueues all of it on the device, then waits once and reads what came of it. `update` is room for
 * weights->trained floats on the device if hooks->update is set, else NULL. SL_NUMERICS: the loss or a gradient is not
 * finite; weights, updater and running statistics are as before. */
int sl_train(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
             const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result);

#ifdef __cplusplus
}
#endif
#endif
