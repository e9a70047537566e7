/* The inside of a plan, shared by the file that builds it and the one that runs it. */
#ifndef SL_RUNTIME_PLAN_PLAN_INTERNAL_H
#define SL_RUNTIME_PLAN_PLAN_INTERNAL_H

#include "kernels/convert/convert.h"
#include "kernels/image/image.h"
#include "kernels/step/step.h"
#include "runtime/plan/arena.h"
#include "runtime/graph/layer_type.h"
#include "runtime/plan/plan.h"

/* What the host hands over with each pass, in one piece: the scalars, then labels and places of the batch. */
struct sl_plan_packet {
    size_t labels, places; /* where they begin */
    size_t bytes;
};

static inline struct sl_plan_packet sl_plan_packet(int32_t batch)
{
    const size_t n = (size_t)batch, line = 64;
    struct sl_plan_packet packet = {.labels = line};
    _Static_assert(sizeof(struct sl_now) <= 64, "the scalars of a step have a line");
    packet.places = packet.labels + (n * sizeof(int32_t) + line - 1) / line * line;
    packet.bytes = packet.places + (n * sizeof(struct sl_image_place) + line - 1) / line * line;
    return packet;
}

enum { SL_PLAN_SLOTS = SL_DEVICE_MARKS };

/* How batches get to a device that does not read the host's memory (load.c). */
struct sl_plan_feed {
    /* A pass has a slot: a packet and, of the host, the bytes of its images. While the device still works on one, the
     * next fills the other; where the device does not work ahead there is but one. */
    int slots, slot;
    char *host; /* [slots], pinned where there are two */
    size_t slot_bytes;
    uint8_t *pixels; /* [slots][batch] images of bytes, in the memory of the device */
    /* A store whose images stay with the device once they were used; NULL: none. */
    const uint8_t *store;
    uint8_t *held;       /* [images of the store], in the memory of the device */
    bool *there;         /* of each image */
    uint64_t held_count; /* images of the store */
};

/* What makes the input of the pass out of what was copied. Padding is zero, so that equal ones have equal bytes. */
struct sl_plan_conversion {
    enum { SL_CONVERT_NOTHING, SL_CONVERT_BYTES, SL_CONVERT_FLOATS } kind;
    int32_t count;
    struct sl_image_to_float bytes;
    struct sl_to_bf16 floats;
};

/* A step as it was recorded for batches that are converted alike. */
struct sl_plan_recording {
    struct sl_plan_conversion of;
    const void *owner; /* who else it belongs to */
    bool seen;         /* such a step has run, so that all is there which is made at first use */
    void *recorded;    /* the device's; NULL: not yet */
};

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
        void *images;  /* [batch] of the network's input */
        float *floats; /* the same before they are rounded; NULL where nobody needs them */
        char *packet;  /* of the pass; its parts: */
        struct sl_image_place *places;
        int32_t *labels;
        struct sl_now *now;
        double *losses;
        double *sums; /* of squares: of the weights' chunks, then of the gradients' */
    } buffers;
    struct sl_plan_feed feed;
    struct sl_plan_conversion conversion; /* of the pass */
    struct sl_plan_recording recordings[SL_PLAN_SLOTS];
    uint64_t replays;
    bool records; /* the device records steps, as far as is known */
    /* Copies of the host. */
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

/* Memory between host and device, of a plan that is not dry; how much of the device's. */
int sl_plan_open_feed(struct sl_plan *plan);
void sl_plan_close_feed(struct sl_plan *plan);
uint64_t sl_plan_feed_bytes(const struct sl_plan *plan);
uint64_t sl_plan_host_bytes(const struct sl_plan *plan);

/* sl_plan_load of a batch that is known to be sound, or of none. */
int sl_plan_load_packet(struct sl_plan *plan, const struct sl_plan_input *input);

/* Behind a pass: its slot is free when the device comes here. */
int sl_plan_leave(struct sl_plan *plan);

/* All recordings. */
void sl_plan_forget(struct sl_plan *plan);

/* Kernels, buffers and, unless the plan is dry, the arena. */
int sl_plan_place(struct sl_plan *plan);
#endif
