/* What a type of layer can do: one row of layers.def. A layer learns its shapes once, chooses kernels and buffers once,
 * and then only runs. */
#ifndef SL_RUNTIME_GRAPH_LAYER_TYPE_H
#define SL_RUNTIME_GRAPH_LAYER_TYPE_H

#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "runtime/graph/layer.h"
#include "runtime/graph/layer_options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One field of an options structure, for the JSON and for its checks. */
enum sl_option_kind {
    SL_OPTION_INT,     /* int32_t */
    SL_OPTION_PAIR,    /* int32_t[2]; one number in JSON stands for both */
    SL_OPTION_REAL,    /* double */
    SL_OPTION_BOOL,    /* bool */
    SL_OPTION_PADDING, /* struct sl_padding: "same", "valid" or [top, left, bottom, right] */
};

struct sl_option {
    const char *name;
    enum sl_option_kind kind;
    size_t offset;
    double minimum, maximum;
    double preset; /* what zero means; 0: zero means zero, or is refused by the minimum */
};

/* A value that flows between stages. */
struct sl_value {
    struct sl_tensor shape; /* n is the plan's batch */
    void *data;             /* of shape.element, like its gradient */
    void *grad;             /* NULL: nobody asks for it */
    /* Partial sums of this value, if the stage that makes it also sums (kernels/norm/norm.h). */
    float *moments;
    int64_t moment_parts;
    bool kept; /* for a backward pass of a stage that reads it */
};

enum { SL_MAX_ABSORBED = 3 };

/* A stage of a plan: one layer, and those fused into it. `x`, `y` are its values; gradients are written to dx. */
struct sl_stage {
    const struct sl_layer *layer;
    const struct sl_layer *absorbed[SL_MAX_ABSORBED];
    int32_t absorbed_count;
    int32_t input_count;
    struct sl_value *x[SL_MAX_INPUTS];
    struct sl_value *y;
    void *dx[SL_MAX_INPUTS]; /* where backward writes (overwrites) each gradient; NULL: not asked for */
    float *parameters[1 + SL_MAX_ABSORBED][SL_MAX_PARAMETERS]; /* of the layer, then of the absorbed ones */
    float *gradients[1 + SL_MAX_ABSORBED][SL_MAX_PARAMETERS];
    bool reads_y;   /* in backward; the stage's plan says so */
    int32_t index;  /* within the plan */
    int32_t number; /* of the layer within the graph: its random stream */
    void *state;    /* type->state_size bytes of the layer's own */
};

/* How long a buffer of a stage lives. */
enum sl_life {
    SL_LIFE_FORWARD,  /* within the stage's forward */
    SL_LIFE_BACKWARD, /* within its backward */
    SL_LIFE_STAGE,    /* from its forward to its backward */
    SL_LIFE_PLAN,     /* always */
};

/* What a stage asks of the plan that is being made (runtime/plan/place.c). */
struct sl_planner {
    bool training;
    int (*buffer)(struct sl_planner *planner, void *at, size_t bytes, enum sl_life life, const char *purpose);
    int (*choose)(struct sl_planner *planner, enum sl_op op, const void *shape, struct sl_choice *choice);
};

/* Asks for `bytes` in the arena; the pointer at `at`, of any type, is set when the plan is complete. */
static inline int sl_planner_buffer(struct sl_planner *planner, void *at, size_t bytes, enum sl_life life,
                                    const char *purpose)
{
    return planner->buffer(planner, at, bytes, life, purpose);
}

/* Chooses the row for an operation on the plan's device; the plan closes it. */
static inline int sl_planner_choose(struct sl_planner *planner, enum sl_op op, const void *shape,
                                    struct sl_choice *choice)
{
    return planner->choose(planner, op, shape, choice);
}

/* What is true during one pass over a batch. */
struct sl_pass {
    const struct sl_device *device;
    int32_t count;         /* samples of this batch */
    const int32_t *labels; /* in the memory of the device, like all that follows; NULL: probabilities only */
    double *losses;        /* [count] */
    const struct sl_now *now;
    bool training;
};

enum sl_layer_trait {
    SL_BACKWARD_READS_INPUT = 1,
    SL_BACKWARD_READS_OUTPUT = 2,
    SL_BACKWARD_IN_PLACE = 4, /* dx[0] may be the memory of x[0] */
    SL_OUTPUT_IS_FLOAT = 8,   /* whatever the plan's precision */
};

struct sl_layer_type {
    const char *name;
    int32_t inputs_min, inputs_max;
    uint32_t traits;
    size_t options_size, state_size;
    const struct sl_option *options;
    size_t option_count;
    /* Output shape (n = 1) from the inputs'. SL_BAD_CONFIG. */
    int (*shape)(const void *options, const struct sl_tensor *inputs, int32_t count, struct sl_tensor *output);
    /* Declares parameters; returns how many. NULL: none. */
    int32_t (*parameters)(const void *options, const struct sl_tensor *input, struct sl_parameter *list);
    /* May the only reader of this output become part of this stage? True: it does. NULL: never. */
    bool (*absorb)(struct sl_stage *stage, const struct sl_layer *next, bool training);
    /* Chooses kernels, asks for buffers. */
    int (*plan)(struct sl_stage *stage, struct sl_planner *planner);
    /* Inference only: weights have changed (folds, packs). NULL: nothing to do. */
    int (*prepare)(struct sl_stage *stage, const struct sl_pass *pass);
    int (*forward)(struct sl_stage *stage, const struct sl_pass *pass);
    int (*backward)(struct sl_stage *stage, const struct sl_pass *pass);
    /* The step counts: running statistics take over the batch's. NULL: there are none. */
    int (*commit)(struct sl_stage *stage, const struct sl_pass *pass);
};

/* Looks a type up by name; NULL if there is none. */
const struct sl_layer_type *sl_layer_type_find(const char *name);
const struct sl_layer_type *sl_layer_type_at(size_t index); /* NULL past the end */

/* `value`, or `preset` where it is 0. */
static inline int32_t sl_or(int32_t value, int32_t preset)
{
    return value ? value : preset;
}

/* Output size and leading padding along one axis. SL_BAD_CONFIG if no window fits. */
int sl_window_axis(int32_t in, int32_t kernel, int32_t stride, const struct sl_padding *padding, bool vertical,
                   int32_t *out, int32_t *before);

/* Is this layer a maximum pool of whole 2 x 2 windows of `in`, the only one that other kernels do on the side? */
bool sl_pool_is_plain(const struct sl_layer *layer, const struct sl_tensor *in);

/* Is this layer a leaky ReLU or a ReLU? Then *slope is its slope. */
bool sl_activation_slope(const struct sl_layer *layer, float *slope);

#define SL_LAYER_TYPE(name) extern const struct sl_layer_type sl_layer_##name;
#include "runtime/graph/layers.def"
#undef SL_LAYER_TYPE

#ifdef __cplusplus
}
#endif
#endif
