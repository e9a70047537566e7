/* How the threshold follows what was sent: DL4J's three algorithms, and a limit on density.
 *   adaptive        below min_density tau *= decay, above max_density tau /= decay
 *   target-sparsity the same with one target for both
 *   fixed           tau is the initial one
 * The density of a step counts the header, as DL4J's: (count + 4) / n. DL4J takes 1/16 after a bitmap, whose count it
 * does not keep; here the count of every form is known.
 *
 * One multiplicative step an iteration takes 66 iterations for a factor of ten, which costs megabytes at the beginning
 * of a run. So the limit comes first: where a sample of the residual says that more than `cap` of the elements would be
 * sent at tau, tau goes just above the sample's quantile. The next step goes on from there; `fixed` comes back. */
#ifndef SL_COMM_ALGORITHM_H
#define SL_COMM_ALGORITHM_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_threshold_kind { SL_THRESHOLD_ADAPTIVE, SL_THRESHOLD_TARGET, SL_THRESHOLD_FIXED, SL_THRESHOLD_KINDS };

struct sl_threshold_options {
    enum sl_threshold_kind kind;
    double initial;                  /* tau of the first step; a normal float */
    double min_density, max_density; /* of adaptive: 0 < min <= max <= 1 */
    double target;                   /* of target-sparsity: in (0, 1/16) */
    double decay;                    /* in [0.5, 1) */
    double cap;                      /* on density, in (0, 1]; 1: none */
};

/* What lasts from step to step, and belongs into a checkpoint. */
struct sl_threshold_state {
    double tau, density; /* of the last step */
    uint64_t steps;      /* taken; 0: there is no history */
};

/* adaptive, initial 1e-3 (the cookbook's), densities 1e-4 to 1e-2, target 1e-3, decay 0.5^(1/20), and our cap, 3.5e-3:
 * 8 ranks then send 200 times less than a dense ring. */
struct sl_threshold_options sl_threshold_defaults(void);

/* "adaptive", "target-sparsity", "fixed"; -1: there is no such kind. */
int sl_threshold_find(const char *name);
const char *sl_threshold_name(enum sl_threshold_kind kind);

/* SL_BAD_CONFIG names the option that is out of its range, NaN included, as a command line calls it. What the kind does
 * not use is not looked at. */
int sl_threshold_check(const struct sl_threshold_options *options);

/* tau of the next step; `sample`, m magnitudes in any order, may be NULL where cap is 1. A NaN among them is never sent
 * and does not count. The cap lets at least one of the sample through, so that few elements are not held back for
 * ever; where many are equal, it holds back all of them. Never 0, never infinite. */
float sl_threshold_next(const struct sl_threshold_options *options, const struct sl_threshold_state *state,
                        const float *sample, size_t m);

/* The step that was taken with `tau`: `count` of n elements were sent. */
void sl_threshold_note(struct sl_threshold_state *state, float tau, int64_t count, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
