/* The parameters of a graph in flat buffers, as files, optimizers and exchanges see them: OHWI weights first (they get
 * L2), then biases, gamma and beta, each in the order of the layers. Running statistics lie apart: nobody updates or
 * quantises them. */
#ifndef SL_RUNTIME_PLAN_WEIGHTS_H
#define SL_RUNTIME_PLAN_WEIGHTS_H

#include "kernels/exec.h"
#include "runtime/graph/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_weights {
    const struct sl_graph *graph;
    const struct sl_device *device;
    int64_t decayed; /* values[0, decayed) get L2 */
    int64_t trained; /* floats in values and gradients */
    int64_t state;   /* floats in statistics */
    /* In the memory of the device. */
    float *values;
    float *gradients; /* NULL without training */
    float *statistics;
    int64_t (*offsets)[SL_MAX_PARAMETERS]; /* [layers]: into values, or statistics for SL_ROLE_STATE */
};

/* Sizes and offsets alone, without memory: what a plan can be measured with. SL_SYSTEM. */
int sl_weights_lay_out(const struct sl_graph *graph, const struct sl_device *device, struct sl_weights **weights);

/* Allocates; the content is undefined until initialised or loaded. SL_SYSTEM, SL_UNAVAILABLE. */
int sl_weights_open(const struct sl_graph *graph, const struct sl_device *device, bool training,
                    struct sl_weights **weights);
void sl_weights_close(struct sl_weights *weights);

/* Initial values of (seed): Xavier normal weights, the rest constant. SL_SYSTEM. */
int sl_weights_init(struct sl_weights *weights, uint64_t seed);

/* Parameter k of a layer: its values, and its gradient (NULL for statistics or without training); NULL without memory.
 */
float *sl_weights_at(const struct sl_weights *weights, int32_t layer, int32_t k);
float *sl_weights_gradient(const struct sl_weights *weights, int32_t layer, int32_t k);

#ifdef __cplusplus
}
#endif
#endif
