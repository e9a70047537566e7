/* The updater: turns the mean gradient of a batch into a change of the weights (formulas:
 * kernels/optimizer/optimizer.h). */
#ifndef SL_RUNTIME_TRAIN_UPDATER_H
#define SL_RUNTIME_TRAIN_UPDATER_H

#include "kernels/step/step.h"
#include "kernels/launch.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_updater_kind { SL_UPDATER_AMSGRAD, SL_UPDATER_ADAM, SL_UPDATER_SGD };

struct sl_updater_options {
    enum sl_updater_kind kind;
    double l2;                    /* on weights only, added to the gradient */
    double momentum;              /* sgd */
    double beta1, beta2, epsilon; /* adam, amsgrad */
};

/* AMSGrad, L2 1e-4, betas 0.9 and 0.999, epsilon 1e-8, momentum 0.9. */
struct sl_updater_options sl_updater_defaults(void);

/* "amsgrad", "adam", "sgd": the kind of that name, -1 if there is none; and the name of a kind. */
int sl_updater_find(const char *name);
const char *sl_updater_name(enum sl_updater_kind kind);

enum { SL_UPDATER_SLOTS = 3 };

int32_t sl_updater_slots(enum sl_updater_kind kind); /* state arrays it keeps */

struct sl_updater {
    struct sl_updater_options options;
    struct sl_weights *weights;
    int32_t slots;                  /* how many state arrays this kind keeps */
    float *state[SL_UPDATER_SLOTS]; /* m, v, h: [weights->trained] each */
    struct sl_choice step, subtract, scale;
};

/* State arrays of zeros, and the kernels. The weights must outlive it. SL_SYSTEM, SL_UNAVAILABLE. */
int sl_updater_open(struct sl_weights *weights, const struct sl_updater_options *options, struct sl_updater **updater);
void sl_updater_close(struct sl_updater *updater);

/* The rate that the kernels take at `iteration` (0-based): the learning rate with Adam's bias corrections; epsilon
 * where that is not usable, as DL4J. */
float sl_updater_rate(const struct sl_updater_options *options, double rate, uint64_t iteration);

/* One step at now->rate, unless now->bad. With `update` NULL the weights change; otherwise they stay and the change
 * goes there ([weights->trained], to be subtracted): what an exchange encodes. `now` and `update` are in the memory of
 * the device. */
int sl_updater_step(struct sl_updater *updater, const struct sl_now *now, float *update);

/* gradients *= factor: what this worker's batch counts among others. */
int sl_updater_scale_gradients(struct sl_updater *updater, float factor);

/* weights -= update, unless now->bad. */
int sl_updater_subtract(struct sl_updater *updater, const struct sl_now *now, const float *update);

/* "m", "v", "h": the state arrays' names in files. */
const char *sl_updater_slot_name(int32_t slot);

#ifdef __cplusplus
}
#endif
#endif
