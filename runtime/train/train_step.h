/* One training step: forward, backward, hooks, update. Knows no MPI: what others learned comes in through the hooks,
 * which speak of plain spans of floats. */
#ifndef SL_RUNTIME_TRAIN_TRAIN_STEP_H
#define SL_RUNTIME_TRAIN_TRAIN_STEP_H

#include "kernels/group.h"
#include "runtime/plan/plan.h"
#include "runtime/train/updater.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an exchange plugs in; each may be NULL, and all are NULL where a process is alone. All return an sl_status, and
 * all are collective: every rank calls them in the same order, also one that has no images in this step or whose step
 * has failed. The spans lie in the memory of the device, which may still be working on them: its copy and fork come in
 * turn. */
struct sl_train_hooks {
    /* During backward, as parts of the flat gradient become final, last layer first; they never overlap, and together
     * they are all of it. A part is of the mean gradient over this rank's `samples`, and zero where there are none.
     * `dense` replaces it by everybody's mean, all of it before the call with `last` returns. If no rank has samples,
     * or one has failed, the gradient is not used. A failure ends the step at once. */
    int (*gradient)(void *self, struct sl_span part, int32_t samples, bool last);
    /* Once a step, after backward and before anything that lasts has moved: the vote of this rank becomes that of all
     * (sl_group_vote). NULL: this rank's own is all there is. */
    int (*agree)(void *self, struct sl_vote *vote);
    /* The updater's output (learning rate included) of step `step`, before it is subtracted: `threshold` keeps what it
     * does not send in its residual and replaces the rest by everybody's decoded sum. Not called in a step that is bad
     * on any rank, or in which no rank has samples. */
    int (*update)(void *self, struct sl_span update, uint64_t step);
    void *self;
};

static inline bool sl_train_shares(const struct sl_train_hooks *hooks)
{
    return hooks && (hooks->gradient || hooks->agree || hooks->update);
}

struct sl_train_input {
    struct sl_plan_input batch; /* its rate is set by the step, from `rate`; with hooks its count may be 0 */
    double rate;                /* the learning rate */
    int ranks;                  /* that take part; 0: 1 */
    /* Not SL_OK, with hooks: there is no batch because of this. The rank takes part with nothing and votes it. */
    int status;
};

/* Of all ranks together, the same on each. */
struct sl_train_result {
    uint64_t samples; /* 0: nobody had any, and nothing has changed */
    double loss;      /* mean over the samples */
    double loss_sum;
    double score; /* loss + l2 * half the squared norm of the weights, as DL4J prints */
};

/* Runs one step. Alone it enqueues all of it on the device, then waits once and reads what came of it; with hooks it
 * waits once before the vote. Without a `gradient` hook, and where the ranks have different numbers of samples, the
 * gradient counts as much as its samples do (times samples * ranks / all samples), so that the mean over the ranks is
 * the mean over the samples. `update` is room for weights->trained floats on the device if hooks->update is set, else
 * NULL. SL_NUMERICS: the loss or a gradient is not finite, on any rank; weights, updater and running statistics are as
 * before on all. What any rank's step failed with before the vote is returned by all, and has changed nothing. */
int sl_train(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
             const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result);

/* A step alone in two parts. On a device that works ahead (its mark) the step after may be started before this one is
 * finished: one that turns out to be bad has changed nothing, so what follows it is right in any case. */
struct sl_train_ticket {
    int32_t samples;
    uint64_t iteration;
    int slot; /* of the plan */
};
int sl_train_start(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_input *step,
                   struct sl_train_ticket *ticket);
int sl_train_finish(struct sl_plan *plan, struct sl_updater *updater, const struct sl_train_ticket *ticket,
                    struct sl_train_result *result);

#ifdef __cplusplus
}
#endif
#endif
