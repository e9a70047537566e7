/* A graph made ready to run at one batch size: layers fused into stages, kernels chosen, every buffer placed in one
 * arena. Nothing is allocated after the first pass. */
#ifndef SL_RUNTIME_PLAN_PLAN_H
#define SL_RUNTIME_PLAN_PLAN_H

#include "kernels/exec.h"
#include "kernels/step/step.h"
#include "kernels/launch.h"
#include "runtime/plan/selection.h"
#include "runtime/plan/weights.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_MAX_BATCH = 65536 };

struct sl_plan;

struct sl_plan_options {
    int32_t batch;                   /* largest batch, 1 to SL_MAX_BATCH */
    bool training;                   /* keep what backward needs; otherwise fold batch norm into the convolutions */
    enum sl_element precision;       /* of activations and their gradients; what is summed, learned and read is float */
    uint64_t memory_limit;           /* bytes for the arena; 0: none */
    bool dry;                        /* to look at, not to run: neither the arena nor the weights need memory */
    const struct sl_selection *rows; /* which to take, while the plan is opened; NULL: the table's first */
    /* A plan that never runs while this one does, and is closed after it. Where this one fits into its arena, beside
     * what that one keeps from pass to pass, it takes no memory of its own. It has to be prepared again after the other
     * has run, which finds its own results lost after this one has. NULL: there is none. */
    const struct sl_plan *within;
};

struct sl_image_place;

enum { SL_PLAN_LARGEST = 512 };

/* What a plan takes: its arena, with what batches are copied to; the scratch of the kernel that wants most, once for
 * each thread; and the largest users of the arena, for a refusal. */
struct sl_plan_memory {
    uint64_t arena, scratch; /* bytes */
    uint64_t host;           /* bytes of the host, where the device's memory is another */
    char largest[SL_PLAN_LARGEST];
};

/* Counts this and allocates nothing; `weights` need no memory yet (sl_weights_lay_out). */
int sl_plan_measure(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                    struct sl_plan_memory *memory);

/* SL_UNAVAILABLE: over the memory limit (the message lists who wants what), or out of memory. */
int sl_plan_open(const struct sl_graph *graph, struct sl_weights *weights, const struct sl_plan_options *options,
                 struct sl_plan **plan);
void sl_plan_close(struct sl_plan *plan);

/* What sl_plan_measure counts, of a plan that is open. */
struct sl_plan_memory sl_plan_memory_of(const struct sl_plan *plan);

/* Inference: call after the weights have changed and before the next forward. */
int sl_plan_prepare(struct sl_plan *plan);

/* Images of bytes, as a data set has them: image places[i].index of `bytes` becomes number i of the batch, in the
 * window that its place says; value = byte*scale + shift (kernels/image/image.h). */
struct sl_plan_pixels {
    const uint8_t *bytes;
    const struct sl_image_place *places; /* [count] */
    float scale[3], shift[3];
};

/* Images of such a store stay in the memory of the device once they were used: batches whose pixels.bytes it is send
 * only their places from then on. For a device with memory of its own. SL_UNAVAILABLE: it has no room; they are then
 * copied with each batch, as before. SL_SYSTEM. */
int sl_plan_hold_images(struct sl_plan *plan, const uint8_t *bytes, uint64_t count);

/* A batch, in the host's memory. It stays until a result of the pass has been read: a device that reads the host's
 * memory makes no copy of it. */
struct sl_plan_input {
    const float *images;                 /* [count] NHWC, dense; NULL: made of pixels */
    const struct sl_plan_pixels *pixels; /* read where images is NULL */
    const int32_t *labels;               /* [count]; NULL outside training: probabilities only */
    int32_t count;                       /* at most the plan's batch */
    uint64_t seed, iteration;            /* for dropout */
    float rate;                          /* for the updater (optimizer/optimizer.h) */
};

/* Starts one pass over a batch; the device may still be working when this returns. */
int sl_plan_forward(struct sl_plan *plan, const struct sl_plan_input *input);

/* The same in two parts: the batch is copied, then run. Behind what is started between comes sl_plan_fetch. */
int sl_plan_load(struct sl_plan *plan, const struct sl_plan_input *input);
int sl_plan_run(struct sl_plan *plan);

/* Between sl_plan_load and sl_plan_fetch: starts what work(self) starts on the device. A training plan of a device that
 * records may note it and replay it for batches like this one, without calling `work`: all that changes from step to
 * step has to lie in the memory of the device. `owner` is who else it depends on. The errors of `work`. */
int sl_plan_replay(struct sl_plan *plan, const void *owner, int (*work)(void *self), void *self);
uint64_t sl_plan_replays(const struct sl_plan *plan); /* so far */

/* A part of weights->gradients, which backward completes at once: what one stage has there in a row. */
struct sl_plan_part {
    int32_t stage;
    int64_t at, n;
};

/* All of them, in the order in which backward comes to them: that of the last stage first. They never overlap, and
 * together they are the whole gradient. */
size_t sl_plan_parts(const struct sl_plan *plan, const struct sl_plan_part **parts);

/* Told of each part as soon as it is final, on the device in turn; `last`: that was all of them. A status that is not
 * SL_OK ends the pass. */
struct sl_plan_listener {
    int (*part)(void *self, struct sl_span part, bool last);
    void *self;
};

/* Gradients of the mean loss of the last forward, into weights->gradients (without L2). A listener, which may be NULL,
 * is told of every part exactly once also when a stage fails: what that stage should have made, and the stages before
 * it, comes as zeros. */
int sl_plan_backward(struct sl_plan *plan, const struct sl_plan_listener *listener);

/* Instead of forward and backward, where there are no images: the scalars of `input` are set, its count being 0, and
 * the whole gradient is zero. */
int sl_plan_idle(struct sl_plan *plan, const struct sl_plan_input *input, const struct sl_plan_listener *listener);

/* Judges the step: loss, norms and `bad` of sl_plan_now. After backward. */
int sl_plan_judge(struct sl_plan *plan);

/* Takes the batch statistics of the last forward over into the running ones, unless the step is bad or idle. */
int sl_plan_commit(struct sl_plan *plan);

/* The scalars of the step, in the memory of the device; and a copy, once the device has come that far. */
struct sl_now *sl_plan_now(const struct sl_plan *plan);
int sl_plan_read_now(struct sl_plan *plan, struct sl_now *now);

/* Starts copying the scalars of the step that was loaded, and waits for those of *slot. Of a device that works ahead,
 * the step after may be loaded and run between. */
int sl_plan_fetch(struct sl_plan *plan, int *slot);
int sl_plan_fetched(struct sl_plan *plan, int slot, struct sl_now *now);

/* Of the last forward, waiting for it: probabilities (rows `*stride` floats apart, until the next forward), and the
 * mean loss of its samples. */
int sl_plan_probabilities(struct sl_plan *plan, const float **p, int32_t *stride);
int sl_plan_mean_loss(struct sl_plan *plan, double *loss);

/* Of the plan's own arena; 0 where it lies within another one's. */
uint64_t sl_plan_arena_bytes(const struct sl_plan *plan);

/* The rows that were chosen, in the order of the stages; layer "" is the plan's own work. */
struct sl_plan_choice {
    const char *layer;
    struct sl_choice *choice;
};
size_t sl_plan_choices(const struct sl_plan *plan, const struct sl_plan_choice **choices);

/* The stages, one line each: layers that run in one pass joined by '+', and which layer finds its sums made on the way;
 * below each its rows where there was a choice, with the reason where it is not the table's first; and the arena. For
 * --dry-run. */
int sl_plan_print(const struct sl_plan *plan, FILE *to);

#ifdef __cplusplus
}
#endif
#endif
