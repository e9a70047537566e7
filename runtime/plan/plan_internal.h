/* The inside of a plan, shared by the file that builds it and the one that runs it. */
#ifndef SL_RUNTIME_PLAN_PLAN_INTERNAL_H
#define SL_RUNTIME_PLAN_PLAN_INTERNAL_H

#include "runtime/plan/arena.h"
#include "runtime/graph/layer_type.h"
#include "runtime/plan/plan.h"

struct sl_plan {
    const struct sl_graph *graph;
    struct sl_weights *weights;
    const struct sl_device *device;
    struct sl_plan_options options;
    int32_t stage_count;
    struct sl_stage *stages;
    struct sl_value *values; /* [layers]; those inside a fused stage stay empty */
    int32_t *producer;       /* [layers]: the stage that makes this value; -1: the input, or fused away */
    /* Where a gradient has several contributions, the later ones land in dx and are added here. */
    struct sl_value *(*adds_to)[SL_MAX_INPUTS];
    const struct sl_kernel *accumulate;
    struct sl_pass pass; /* of the last forward */
    double *losses;
    void *arena;
    size_t arena_bytes, scratch_bytes; /* scratch: of one slice of the kernel that wants most */
};

/* Steps with their fused layers. */
int sl_plan_fuse(struct sl_plan *plan);

/* Kernels, buffers and the arena; with `memory` only what they would take. */
int sl_plan_place(struct sl_plan *plan, struct sl_plan_memory *memory);
#endif
