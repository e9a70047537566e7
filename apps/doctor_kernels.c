/* The shapes that the default network gives each operation, and the table's answers. */
#include "apps/doctor_kernels.h"

#include <stdio.h>
#include <string.h>

#include "kernels/activation/activation.h"
#include "kernels/conv/conv.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"

enum { BATCH = SL_DOCTOR_BATCH, CLASSES = 200, PARAMETERS = 1074664, REASON_LENGTH = 512 };

/* The chapter's network: what each operation meets in it. */
static const struct layer {
    const char *name;
    int32_t size, c, k, kernel, pool; /* pool 0: no batch norm behind it */
} layers[] = {
    {"conv0", 64, 3, 32, 3, 1},       {"conv1", 64, 32, 64, 3, 2},   {"conv2", 32, 64, 128, 2, 1},
    {"conv3", 32, 128, 256, 2, 2},    {"conv4", 16, 256, 256, 2, 1}, {"conv5", 16, 256, 512, 2, 2},
    {"conv6", 8, 512, CLASSES, 1, 0},
};
enum { LAYERS = sizeof layers / sizeof *layers };

union shape {
    struct sl_conv2d conv;
    struct sl_norm norm;
    struct sl_pool pool;
    struct sl_leaky_relu leaky_relu;
    struct sl_softmax softmax;
    struct sl_flat flat;
    struct sl_channels channels;
    struct sl_dropout_shape dropout;
    struct sl_optimizer parameters;
    struct sl_image image;
};

static struct sl_conv2d conv_shape(int32_t n, int32_t size, int32_t c, int32_t k, int32_t kernel)
{
    return (struct sl_conv2d){
        .n = n,
        .h = size,
        .w = size,
        .c = c,
        .k = k,
        .kh = kernel,
        .kw = kernel,
        .stride_h = 1,
        .stride_w = 1,
        .pad_top = (kernel - 1) / 2,
        .pad_left = (kernel - 1) / 2,
        .oh = size,
        .ow = size,
        .xs = c == 3 ? 3 : sl_round_up(c, SL_LANES),
        .ys = sl_round_up(k, SL_LANES),
    };
}

static struct sl_pool pool_shape(int32_t size, int32_t c, int32_t window)
{
    return (struct sl_pool){
        .n = BATCH,
        .h = size,
        .w = size,
        .c = c,
        .xs = sl_round_up(c, SL_LANES),
        .kh = window,
        .kw = window,
        .stride_h = window,
        .stride_w = window,
        .oh = size / window,
        .ow = size / window,
    };
}

/* Operations that look alike in every layer: one shape. */
static bool shape_of_network(enum sl_op op, union shape *shape)
{
    const int32_t lanes = sl_round_up(CLASSES, SL_LANES);
    const int64_t n = (int64_t)BATCH * 64 * 64 * 32;
    switch (op) {
    case SL_OP_pool_avg_fwd:
    case SL_OP_pool_avg_bwd:
        shape->pool = pool_shape(8, CLASSES, 8);
        return true;
    case SL_OP_leaky_relu_fwd:
    case SL_OP_leaky_relu_bwd:
        shape->leaky_relu = (struct sl_leaky_relu){n, 0.1f};
        return true;
    case SL_OP_softmax_nll_fwd:
    case SL_OP_softmax_nll_bwd:
        shape->softmax = (struct sl_softmax){BATCH, CLASSES, lanes};
        return true;
    case SL_OP_channel_copy:
        shape->channels = (struct sl_channels){(int64_t)BATCH * 64 * 64, 32, 32, 0, 64, 32, false};
        return true;
    case SL_OP_dropout:
        shape->dropout = (struct sl_dropout_shape){n, 0.5f};
        return true;
    case SL_OP_sgd_step:
    case SL_OP_adam_step:
    case SL_OP_amsgrad_step:
        shape->parameters = (struct sl_optimizer){PARAMETERS};
        return true;
    case SL_OP_image_to_float:
        shape->image = (struct sl_image){64, 64, 64, 64};
        return true;
    case SL_OP_add_fwd:
    case SL_OP_accumulate:
        shape->flat = (struct sl_flat){n};
        return true;
    default:
        return false;
    }
}

/* The shape `op` has at one layer; false if it has none there. */
static bool shape_of_layer(enum sl_op op, const struct layer *layer, union shape *shape)
{
    switch (op) {
    case SL_OP_conv2d_fwd:
    case SL_OP_conv2d_bwd_data:
    case SL_OP_conv2d_bwd_weights:
        shape->conv = conv_shape(BATCH, layer->size, layer->c, layer->k, layer->kernel);
        return op != SL_OP_conv2d_bwd_data || layer != layers; /* nobody needs the image's gradient */
    case SL_OP_bias_bwd:
        shape->conv = conv_shape(BATCH, layer->size, layer->c, layer->k, layer->kernel);
        return !layer->pool;
    case SL_OP_norm_moments:
    case SL_OP_norm_fwd:
    case SL_OP_norm_bwd_reduce:
    case SL_OP_norm_bwd_apply:
        shape->norm = (struct sl_norm){BATCH,       layer->size, layer->size, layer->k, sl_round_up(layer->k, SL_LANES),
                                       layer->pool, 0.1f};
        return layer->pool > 0;
    case SL_OP_pool_max_fwd:
    case SL_OP_pool_max_bwd:
        shape->pool = pool_shape(layer->size, layer->k, 2);
        return layer->pool == 2;
    default:
        return false;
    }
}

/* Why the rows before the chosen one were not taken: "; not NAME (why), ...". */
static void explain(enum sl_op op, const union shape *shape, const struct sl_kernel_row *chosen, char *text)
{
    int at = 0;
    text[0] = '\0';
    for (const struct sl_kernel_row *row = sl_kernel_rows; row < chosen && at < REASON_LENGTH - 1; row++) {
        if (row->op != op)
            continue;
        const uint32_t absent = row->needs & ~sl_isa_detect(), held = row->needs & ~sl_isa();
        at += snprintf(text + at, (size_t)(REASON_LENGTH - at), "%s %s (%s%s%s)", at ? "," : "; not", row->name,
                       held ? "needs " : "", held ? sl_isa_text(held) : "",
                       absent                                           ? ": not on this CPU"
                       : held                                           ? ": held down by SL_ISA"
                       : row->kernel->fits && !row->kernel->fits(shape) ? "does not take this shape"
                                                                        : "SL_KERNEL asks for another");
    }
}

/* One line for each run of layers that get the same answer. */
static void print_choices(enum sl_op op)
{
    struct answer {
        const char *first, *last;
        const struct sl_kernel_row *row;
        char reason[REASON_LENGTH];
    } answers[LAYERS];
    int count = 0;
    union shape shape;
    const bool once = shape_of_network(op, &shape);
    for (int i = 0; i < (once ? 1 : LAYERS); i++) {
        if (!once && !shape_of_layer(op, &layers[i], &shape))
            continue;
        struct answer *answer = &answers[count];
        *answer = (struct answer){layers[i].name, layers[i].name, sl_pick(op, &shape, sl_isa()), ""};
        explain(op, &shape, answer->row ? answer->row : sl_kernel_rows + sl_kernel_row_count, answer->reason);
        if (count && answer[-1].row == answer->row && !strcmp(answer[-1].reason, answer->reason))
            answer[-1].last = answer->last;
        else
            count++;
    }
    for (int i = 0; i < count; i++) {
        char where[32];
        snprintf(where, sizeof where, "%s%s%s", once ? "" : answers[i].first,
                 answers[i].first == answers[i].last ? "" : " to ",
                 answers[i].first == answers[i].last ? "" : answers[i].last);
        printf("  %-19s%-16s%s%s\n", i ? "" : sl_op_name(op), where,
               answers[i].row ? answers[i].row->name : "no kernel", answers[i].reason);
    }
}

void sl_doctor_print_kernels(void)
{
    for (int op = 0; op < SL_OP_COUNT; op++)
        print_choices(op);
}
