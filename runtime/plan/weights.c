#include "runtime/plan/weights.h"

#include <math.h>
#include <stdlib.h>

#include "kernels/elementwise/philox.h"
#include "runtime/base/random.h"

/* Gives every parameter of a role its place, from *next on. */
static void place(struct sl_weights *weights, enum sl_parameter_role role, int64_t *next)
{
    const struct sl_graph *graph = weights->graph;
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++) {
            const struct sl_parameter *p = &graph->layers[i].parameters[k];
            if (p->role != role)
                continue;
            weights->offsets[i][k] = *next;
            *next += sl_parameter_floats(p);
        }
}

static int allocate(const struct sl_device *device, int64_t floats, float **at)
{
    void *memory = NULL;
    const int rc = device->alloc(device->self, (size_t)floats * sizeof(float), &memory);
    *at = memory;
    return rc == SL_OK ? device->fill(device->self, memory, 0, (size_t)floats * sizeof(float)) : rc;
}

int sl_weights_lay_out(const struct sl_graph *graph, const struct sl_device *device, struct sl_weights **weights)
{
    int rc = SL_OK;
    struct sl_weights *w = calloc(1, sizeof *w);
    if (!w)
        return sl_fail(SL_SYSTEM, "out of memory for weights");
    w->graph = graph;
    w->device = device;
    w->offsets = calloc((size_t)graph->layer_count, sizeof *w->offsets);
    if (!w->offsets)
        SL_FAIL(SL_SYSTEM, "out of memory for weights");
    place(w, SL_ROLE_WEIGHT, &w->trained);
    w->decayed = w->trained;
    place(w, SL_ROLE_VECTOR, &w->trained);
    place(w, SL_ROLE_STATE, &w->state);
    *weights = w;
    w = NULL;
out:
    sl_weights_close(w);
    return rc;
}

int sl_weights_open(const struct sl_graph *graph, const struct sl_device *device, bool training,
                    struct sl_weights **weights)
{
    int rc = SL_OK;
    struct sl_weights *w = NULL;
    SL_TRY(sl_weights_lay_out(graph, device, &w));
    SL_TRY(allocate(device, w->trained, &w->values));
    SL_TRY(allocate(device, w->state, &w->statistics));
    if (training)
        SL_TRY(allocate(device, w->trained, &w->gradients));
    *weights = w;
    w = NULL;
out:
    sl_weights_close(w);
    return rc;
}

void sl_weights_close(struct sl_weights *weights)
{
    if (!weights)
        return;
    const struct sl_device *device = weights->device;
    device->free(device->self, weights->values);
    device->free(device->self, weights->gradients);
    device->free(device->self, weights->statistics);
    free(weights->offsets);
    free(weights);
}

float *sl_weights_at(const struct sl_weights *weights, int32_t layer, int32_t k)
{
    const bool state = weights->graph->layers[layer].parameters[k].role == SL_ROLE_STATE;
    float *base = state ? weights->statistics : weights->values;
    return base ? base + weights->offsets[layer][k] : NULL;
}

float *sl_weights_gradient(const struct sl_weights *weights, int32_t layer, int32_t k)
{
    if (!weights->gradients || weights->graph->layers[layer].parameters[k].role == SL_ROLE_STATE)
        return NULL;
    return weights->gradients + weights->offsets[layer][k];
}

/* Two normal numbers from one draw (Box & Muller 1958). */
static void normal_pair(uint64_t seed, uint64_t stream, uint64_t index, double *a, double *b)
{
    const struct sl_philox bits = sl_philox4x32(seed, stream, index);
    const uint64_t u1 = (uint64_t)bits.word[0] << 21 ^ bits.word[1] >> 11,
                   u2 = (uint64_t)bits.word[2] << 21 ^ bits.word[3] >> 11;
    const double radius = sqrt(-2.0 * log(((double)u1 + 1.0) * 0x1p-53));
    const double angle = 2.0 * acos(-1.0) * (double)u2 * 0x1p-53;
    *a = radius * cos(angle);
    *b = radius * sin(angle);
}

static void init_parameter(const struct sl_parameter *p, float *at, uint64_t seed, uint64_t stream)
{
    const int64_t n = sl_parameter_floats(p);
    for (int64_t i = 0; i < n; i += 2) {
        double pair[2] = {p->constant, p->constant};
        if (p->deviation > 0.0) {
            normal_pair(seed, stream, (uint64_t)i / 2, &pair[0], &pair[1]);
            pair[0] *= p->deviation;
            pair[1] *= p->deviation;
        }
        at[i] = (float)pair[0];
        if (i + 1 < n)
            at[i + 1] = (float)pair[1];
    }
}

/* Floats of the largest parameter. */
static int64_t largest(const struct sl_graph *graph)
{
    int64_t most = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++) {
            const int64_t floats = sl_parameter_floats(&graph->layers[i].parameters[k]);
            most = floats > most ? floats : most;
        }
    return most;
}

int sl_weights_init(struct sl_weights *weights, uint64_t seed)
{
    int rc = SL_OK;
    const struct sl_graph *graph = weights->graph;
    const struct sl_device *device = weights->device;
    float *values = malloc((size_t)largest(graph) * sizeof *values + 1);
    if (!values)
        SL_FAIL(SL_SYSTEM, "out of memory for initial weights");
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++) {
            const struct sl_parameter *p = &graph->layers[i].parameters[k];
            init_parameter(p, values, seed, sl_stream(SL_RANDOM_INIT, (uint64_t)i * SL_MAX_PARAMETERS + (uint64_t)k));
            SL_TRY(device->copy(device->self, sl_weights_at(weights, i, k), values,
                                (size_t)sl_parameter_floats(p) * sizeof *values));
        }
out:
    free(values);
    return rc;
}
