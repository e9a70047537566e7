/* The public face of the kernels: the operations, the table and the choice.
 *
 * A kernel is a row of kernels.def. Its shape structure and its argument structure are those of its operation, declared
 * in the operation's header (kernels/conv/conv.h, ...), which also states formula, units and errors. A kernel allocates
 * nothing, logs nothing, has no globals and cannot fail. */
#ifndef SL_KERNELS_KERNELS_H
#define SL_KERNELS_KERNELS_H

#include "kernels/base.h"
#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Every operation: the name used in rows, logs, tests, benchmarks and SL_KERNEL=op:name. */
#define SL_OP_MAP(X)                                \
    X(conv2d_fwd) /* conv/conv.h */                 \
    X(conv2d_bwd_data)                              \
    X(conv2d_bwd_weights)                           \
    X(bias_bwd)                                     \
    X(norm_moments) /* norm/norm.h */               \
    X(norm_fwd)                                     \
    X(norm_bwd_reduce)                              \
    X(norm_bwd_apply)                               \
    X(pool_max_fwd) /* pool/pool.h */               \
    X(pool_max_bwd)                                 \
    X(pool_avg_fwd)                                 \
    X(pool_avg_bwd)                                 \
    X(leaky_relu_fwd) /* activation/activation.h */ \
    X(leaky_relu_bwd)                               \
    X(softmax_nll_fwd) /* softmax/softmax.h */      \
    X(softmax_nll_bwd)                              \
    X(add_fwd) /* elementwise/elementwise.h */      \
    X(accumulate)                                   \
    X(channel_copy)                                 \
    X(dropout)                                      \
    X(sgd_step) /* optimizer/optimizer.h */         \
    X(adam_step)                                    \
    X(amsgrad_step)                                 \
    X(image_to_float) /* image/image.h */

enum sl_op {
#define X(op) SL_OP_##op,
    SL_OP_MAP(X)
#undef X
        SL_OP_COUNT
};

/* "conv2d_fwd"; NULL past the end. */
const char *sl_op_name(enum sl_op op);

/* One implementation. `shape` and `args` point at the operation's own structures. */
struct sl_kernel {
    bool (*fits)(const void *shape);      /* NULL: takes every shape */
    int64_t (*units)(const void *shape);  /* length of the outermost loop; NULL: 1. Never depends on the thread count */
    bool joins;                           /* neighbouring units share work: few long slices are cheaper than many */
    size_t (*scratch)(const void *shape); /* bytes each running slice needs; NULL: none */
    size_t (*packed)(const void *shape); /* floats of re-ordered weights the kernel reads; NULL: reads them as stored */
    void (*pack)(const void *shape, const float *weights, float *packed, const struct sl_work *work);
    int64_t (*pack_units)(const void *shape);
    void (*run)(const void *shape, const void *args, const struct sl_work *work);
};

struct sl_kernel_row {
    enum sl_op op;
    const char *name;   /* "direct_avx2": how and ISA */
    const char *symbol; /* "sl_conv2d_fwd_direct_avx2" */
    uint32_t needs;     /* enum sl_isa_bits */
    const struct sl_kernel *kernel;
};

/* The whole table, best row of each operation first. */
extern const struct sl_kernel_row sl_kernel_rows[];
extern const size_t sl_kernel_row_count;

/* The first row of `op` whose needs are within `isa` and that takes `shape`. The reference always does,
 * so the answer is never NULL. SL_KERNEL=op:name[,op:name] forces a row where it fits;
 * SL_VERBOSE=1 prints each choice once. */
const struct sl_kernel_row *sl_pick(enum sl_op op, const void *shape, uint32_t isa);

/* SL_BAD_CONFIG, with the choices, if SL_KERNEL names an operation or a row that is not in the table. */
int sl_kernel_check(void);

static inline int64_t sl_kernel_units(const struct sl_kernel *kernel, const void *shape)
{
    return kernel->units ? kernel->units(shape) : 1;
}

static inline size_t sl_kernel_scratch(const struct sl_kernel *kernel, const void *shape)
{
    return kernel->scratch ? kernel->scratch(shape) : 0;
}

#define SL_KERNEL(op, how, needs) extern const struct sl_kernel sl_##op##_##how;
#include "kernels/kernels.def"
#undef SL_KERNEL

#ifdef __cplusplus
}
#endif
#endif
