/* A graph made ready to run at one batch size: layers fused into stages, kernels chosen, every buffer placed in one
 * arena. Nothing is allocated after the first pass. */
#ifndef SL_RUNTIME_PLAN_PLAN_H
#define SL_RUNTIME_PLAN_PLAN_H

#include "kernels/exec.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_MAX_BATCH = 65536 };

struct sl_plan_options {
    int32_t batch;         /* largest batch, 1 to SL_MAX_BATCH */
    bool training;         /* keep what backward needs; otherwise fold batch norm into the convolutions */
    uint64_t memory_limit; /* bytes for the arena; 0: none */
};

struct sl_plan;

/* What a plan takes: its arena, the scratch of its hungriest kernel for each thread of the device, and who wants most
 * of the arena, for a refusal. */
struct sl_plan_memory {
    uint64_t arena, scratch; /* bytes */
    char largest[512];
};

/* Works that out and allocates nothing; `weights` need no memory yet (sl_weights_lay_out). */
int sl_plan_measure(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                    struct sl_plan_memory *memory);

/* SL_UNAVAILABLE: over the limit (lists who wanted what), or no memory. */
int sl_plan_open(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                 struct sl_plan **plan);
void sl_plan_close(struct sl_plan *plan);

/* Inference: call after the weights have changed and before the next forward. */
int sl_plan_prepare(struct sl_plan *plan);

/* One pass over `count` <= batch images (NHWC, dense). labels may be NULL outside training. `seed`, `iteration`: for
 * dropout. */
struct sl_plan_input {
    const float *images;
    const int32_t *labels;
    int32_t count;
    uint64_t seed, iteration;
};
int sl_plan_forward(struct sl_plan *plan, const struct sl_plan_input *input);

/* Gradients of the mean loss of the last forward, into weights->gradients (without L2). */
int sl_plan_backward(struct sl_plan *plan);

/* Takes the batch statistics of the last forward over into the running ones: the training step counted. */
int sl_plan_commit(struct sl_plan *plan);

/* Of the last forward: probabilities (rows `*stride` floats apart), losses of each sample and their mean. */
const float *sl_plan_probabilities(const struct sl_plan *plan, int32_t *stride);
double sl_plan_mean_loss(const struct sl_plan *plan);

uint64_t sl_plan_arena_bytes(const struct sl_plan *plan);

/* The stages with their layers, fused ones joined by '+', one line each, and the arena; for --dry-run. */
int sl_plan_print(const struct sl_plan *plan, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
