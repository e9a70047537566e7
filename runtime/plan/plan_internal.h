/* The inside of a plan, shared by the file that builds it and the one that runs it. */
#ifndef SL_RUNTIME_PLAN_PLAN_INTERNAL_H
#define SL_RUNTIME_PLAN_PLAN_INTERNAL_H

#include "kernels/image/image.h"
#include "kernels/step/step.h"
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
    struct sl_plan_operations {
        struct sl_choice accumulate, image_to_float, to_bf16, sum_squares, judge;
    } operations;
    struct sl_plan_choice *choices; /* every row that was chosen, the layers' too */
    size_t choice_count;
    struct sl_plan_part *parts; /* of the flat gradient, as backward completes them */
    size_t part_count;
    struct sl_pass pass; /* of the last forward */
    /* In the memory of the device, always. */
    struct sl_plan_buffers {
        void *images;    /* [batch] of the network's input */
        float *floats;   /* the same before they are rounded; NULL where nobody needs them */
        uint8_t *pixels; /* [batch] images of bytes; NULL where the device reads the host's memory */
        struct sl_image_place *places;
        int32_t *labels;
        double *losses;
        double *sums; /* of squares: of the weights' chunks, then of the gradients' */
        struct sl_now *now;
    } buffers;
    /* Copies of the host. */
    struct sl_image_place *places;
    float *probabilities; /* NULL where it reads the device's memory */
    double *losses;
    void *arena;
    bool shares;           /* the arena is that of options.within */
    struct sl_block *kept; /* blocks that live from pass to pass */
    size_t kept_count;
    size_t arena_bytes, scratch_bytes; /* scratch: of one slice of the kernel that wants most */
    char largest[SL_PLAN_LARGEST];     /* the buffers that take most */
};

/* Stages with their fused layers. */
int sl_plan_fuse(struct sl_plan *plan);

/* The parts of the gradient; after sl_plan_fuse. */
int sl_plan_list_parts(struct sl_plan *plan);

/* The pass begins: its scalars and labels, to the memory of the device. */
int sl_plan_take_scalars(struct sl_plan *plan, const struct sl_plan_input *input);

/* Kernels, buffers and, unless the plan is dry, the arena. */
int sl_plan_place(struct sl_plan *plan);
#endif
