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

/* Every operation; the list is kernels/ops.def. */
enum sl_op {
#define SL_OP(op, shape, args) SL_OP_##op,
#include "kernels/ops.def"
#undef SL_OP
    SL_OP_COUNT
};

/* "conv2d_fwd"; NULL past the end. */
const char *sl_op_name(enum sl_op op);

enum { SL_SHAPE_BYTES = 80 }; /* of the largest shape structure */

/* Bytes of a shape structure that say all: up to its element, which is its last member, and without gaps before it, so
 * that equal shapes have equal bytes. */
size_t sl_op_shape_bytes(enum sl_op op);

/* What a row asks for at one shape. */
struct sl_need {
    int64_t units;      /* length of the outermost loop, at least 1; never depends on the thread count */
    int64_t pack_units; /* length of pack's loop; 0 where packed is 0 */
    size_t scratch;     /* bytes for each slice that runs */
    size_t packed;      /* bytes of re-ordered weights that the kernel reads; 0: it reads them as stored */
    size_t state;       /* bytes that open() fills; 0: no state */
    bool joins;         /* neighbouring units share work: few long slices are cheaper than many */
    int64_t together;   /* of those that join: so many share most, from one multiple to the next; 0: all do */
    int64_t records;    /* partial results that the units leave (moments, sums); 0: each unit one */
    int64_t parts;      /* of conv2d_bwd_weights: gradients that are to be added up (conv.h); 0: the result itself */
    double flops;       /* floating-point operations of its multiplications; 0: as many as the formula's */
};

/* One implementation. `shape` and `args` point at the operation's own structures. */
struct sl_kernel {
    enum sl_element element; /* of the shapes it takes */
    /* Its products are not the formula's, rounded once: they are those of transformed inputs, as in Winograd's method,
     * or of parts of floats. The operation's README has the errors. */
    bool inexact;
    /* open() may be SL_UNAVAILABLE for one number of images and not for another: a library decides. */
    bool refuses;
    /* Does it take this shape, and what does it need? *need comes cleared. Of an operation with rows that pack, neither
     * whether a row takes (and, unless it refuses, opens) a shape nor how it packs depends on the number of images. */
    bool (*need)(const void *shape, struct sl_need *need);
    /* Fills the state with what follows from the shape alone. SL_UNAVAILABLE: the next row is asked. NULL: no state. */
    int (*open)(const void *shape, const struct sl_device *device, void *state);
    /* Bytes for each slice, where that is known only once the row is open; NULL: as need said. */
    size_t (*scratch)(const void *shape, const void *state);
    void (*close)(void *state); /* NULL: nothing to do */
    /* Re-orders weights, for the slice of `pack_units`: the work has the state, and no scratch. NULL: it reads them as
     * stored. */
    void (*pack)(const void *shape, const float *weights, void *packed, const struct sl_work *work);
    /* Computes the slice of `units`. */
    void (*run)(const void *shape, const void *args, const struct sl_work *work);
};

struct sl_kernel_row {
    enum sl_op op;
    const char *name;   /* "direct_avx2": how and ISA */
    const char *symbol; /* "sl_conv2d_fwd_direct_avx2" */
    uint32_t needs;     /* enum sl_isa_bits; at least one, so that a row belongs to one kind of device */
    const struct sl_kernel *kernel;
};

/* The library's rows, best of each operation first: those of a CPU. */
extern const struct sl_kernel_row sl_kernel_rows[];
extern const size_t sl_kernel_row_count;

/* Does the row do `op`, run with these instruction sets and take the shape? Then *need is filled. */
bool sl_row_takes(const struct sl_kernel_row *row, enum sl_op op, const void *shape, uint32_t isa,
                  struct sl_need *need);

/* SL_BAD_CONFIG, with the choices, if SL_KERNEL names an operation or a row that is not in the table. */
int sl_kernel_check(void);

/* Does SL_KERNEL=op:name[,op:name] ask for this row? */
bool sl_row_forced(const struct sl_kernel_row *row);

enum { SL_WHY_BYTES = 64 }; /* of the reason for a choice, as a text */

/* With SL_VERBOSE=1, prints the choice of a row and its reason once. */
void sl_row_say(const struct sl_kernel_row *row, const char *why);

#define SL_KERNEL(op, how, needs) extern const struct sl_kernel sl_##op##_##how;
#define SL_CUDA_KERNEL(op, how, needs) extern const struct sl_kernel sl_##op##_##how;
#include "kernels/kernels.def"
#undef SL_KERNEL

#ifdef __cplusplus
}
#endif
#endif
