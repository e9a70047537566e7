/* The checker: every row of kernels.def that this machine can run, on every shape of its operation, against the
 * operation's reference. An operation joins by one `struct check_op`: how many shapes, and how to set one up.
 *
 * A case is set up three times with the same contents: for the reference, for the row in one slice with every buffer
 * ending at a guard page, and for the row in seven uneven slices run last to first with every buffer misaligned by one
 * float. The last two must agree bit for bit; the reference within the tolerance stated with the output.
 * Inputs are read-only memory, outputs start as NaN, the bytes around a buffer are poisoned and looked at afterwards.
 */
#ifndef SL_TESTS_CHECK_H
#define SL_TESTS_CHECK_H

#include "kernels/kernels.h"
#include "kernels/step/step.h"

/* |got - want| <= absolute + relative*|want|, or at most `ulp` floats apart. All zero: equal (-0 == 0). */
struct check_tolerance {
    double absolute, relative;
    int64_t ulp;
};

extern const struct check_tolerance check_exact;

enum check_fill {
    CHECK_UNIFORM, /* [-1, 1) */
    CHECK_COARSE,  /* multiples of 1/4 in [-1, 1): ties are common */
    CHECK_POSITIVE /* (0, 1] */
};

enum { CHECK_BUFFERS = 16 };

struct check_buffer {
    const char *name;
    unsigned char *map;
    size_t map_bytes, guard_at; /* the guard page begins `guard_at` bytes into the map */
    unsigned char *at;
    size_t bytes;
    bool is_output;
    struct check_tolerance tolerance;
    int64_t pixels; /* > 0: lanes [channels, stride) of each pixel must be zero */
    int32_t channels, stride;
};

/* One set-up. `shape` and `args` are what the kernel gets. */
struct check_case {
    const struct sl_kernel *kernel;
    const struct sl_kernel_row *row;
    struct sl_need need;
    void *state; /* the row's, of the shape */
    const void *shape;
    bool misaligned, sliced;
    uint64_t seed;
    uint64_t drawn; /* random words so far */
    struct check_buffer buffers[CHECK_BUFFERS];
    int count;
    union {
        double align;
        unsigned char bytes[256];
    } args;
};

struct check_op {
    enum sl_op op;
    size_t shapes;
    /* The shape structure of case `index`; writes its name. */
    const void *(*shape)(size_t index, char *name, size_t size);
    /* Allocates and fills the buffers, and the arguments. */
    void (*set_up)(struct check_case *c, size_t index);
    /* NULL, or brings the outputs to a form that all rows share (joins records); runs before they are compared. */
    void (*finish)(struct check_case *c, size_t index);
};

struct check_area {
    const struct check_op *ops;
    size_t count;
};

/* One for each check_*.c. */
extern const struct check_area check_conv, check_norm, check_pool, check_activation, check_softmax, check_elementwise,
    check_optimizer, check_step, check_image;

/* Runs all rows on all shapes; argv[1], if given, is a pattern of names (`*` and `?`). An operation of the table
 * that no area knows fails. SL_CHECK_SEED chooses the contents. Returns the number of failures. */
int check_main(int argc, char **argv, const struct check_area *const *areas, size_t count);

/* --- for set_up: buffers live until the case is over --- */

/* Read-only input of n floats. */
float *check_input(struct check_case *c, const char *name, size_t n, enum check_fill fill);
/* The same with `channels` values and zeros up to `stride` for each pixel. */
float *check_input_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                          enum check_fill fill);
/* Read-only input to be filled by the caller, who then calls check_freeze. A misaligned one is aligned to no more than
 * `alignment`, that of its type. */
void *check_input_bytes(struct check_case *c, const char *name, size_t bytes, size_t alignment);
void check_freeze(struct check_case *c, void *at);
/* Output of n floats, NaN until written; compared with the reference's. */
float *check_output(struct check_case *c, const char *name, size_t n, struct check_tolerance tolerance);
/* Output whose lanes [channels, stride) must be zero. */
float *check_output_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                           struct check_tolerance tolerance);
/* Filled like an input, writable and compared like an output. */
float *check_inout(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                   enum check_fill fill, struct check_tolerance tolerance);
/* Memory that may differ between rows (records): guarded, NaN, only compared between slicings. */
float *check_work(struct check_case *c, const char *name, size_t n);
double *check_work_double(struct check_case *c, const char *name, size_t n);
/* The buffer of that name. */
void *check_find(const struct check_case *c, const char *name);
/* The scalars of a step (step/step.h), read-only: rate 8e-3, iteration 7, seed 11, and bad or not. */
const struct sl_now *check_now(struct check_case *c, bool bad);
/* Weights as the row wants them: packed in slices if it packs, else as they are. */
const float *check_pack(struct check_case *c, const float *weights);

/* Runs the reference of another operation, for set_up and finish. */
void check_reference(enum sl_op op, const void *shape, const void *args);

/* The next random word of the case; the same for the same seed and order of calls. */
uint32_t check_random(struct check_case *c);
float check_draw(struct check_case *c, enum check_fill fill);

/* Runs `units` units in one slice, or in seven uneven ones from last to first. */
void check_slices(const struct check_case *c, int64_t units, void (*run)(const void *self, const struct sl_work *work),
                  const void *self, void *scratch);
#endif
