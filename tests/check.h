/* How an operation is set up: one `struct check_op` says how many shapes there are, and how to set one up. Two programs
 * walk them: the checker (test_kernels.c) and the benchmark (bench/bench_ops.cc).
 *
 * The checker runs every row of kernels.def that this machine can run, on every shape of its operation, against the
 * operation's reference. A case is set up three times with the same contents: for the reference, for the row in one
 * slice with every buffer ending at a guard page, and for the row in seven uneven slices run last to first with every
 * buffer misaligned by one number. The last two must agree bit for bit; the reference within the tolerance stated with
 * the output, or bit for bit where the operation says so (enum check_bits); and where its vector rows have to agree, a
 * fourth set-up is for another of them. Inputs are read-only memory, outputs start as NaN, the bytes around a buffer
 * are poisoned and looked at afterwards. The benchmark runs each row in one slice, over and over, on the shapes that
 * are worth measuring.
 *
 * A shape is written down once, for floats. A row of another element is checked on all of them: buffers of activations
 * have its element, and its contents, rounded to bf16, are also what the reference of floats gets, which arbitrates
 * over the rows of bf16 too. What these store may differ from it by half a unit of bf16 more, by nothing but that
 * where the output is exact.
 */
#ifndef SL_TESTS_CHECK_H
#define SL_TESTS_CHECK_H

#include "kernels/element.h"
#include "kernels/elementwise/philox.h"
#include "kernels/kernels.h"
#include "kernels/step/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/* |got - want| <= absolute + relative*|want|, or at most `ulp` floats apart. All zero: equal (-0 == 0). Of bf16, before
 * it was rounded; the checker adds what rounding may do. */
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
    size_t reads, writes; /* bytes that the operation has to move */
    bool is_output;
    bool holds_pointers;     /* to other buffers of the case */
    bool overrun;            /* a device wrote behind it, or into an input */
    enum sl_element element; /* of its numbers, if numbers it has */
    struct check_tolerance tolerance;
    int64_t pixels; /* > 0: lanes [channels, stride) of each pixel must be zero */
    int32_t channels, stride;
};

/* One set-up. `shape`, of the row's element, and `args` are what the kernel gets. */
struct check_case {
    const struct sl_kernel *kernel;
    const struct sl_kernel_row *row;
    const struct sl_device *device; /* whose row it is, with memory of its own; NULL: the row runs on the host */
    struct sl_need need;
    void *state; /* the row's, of the shape */
    const void *shape;
    size_t index;   /* of the shape */
    size_t variant; /* what a set-up varies by (in place, a bad step): the index; 0, the plain one, if measured */
    bool measured;  /* by a benchmark */
    bool rounded;   /* activations hold values of bf16; always so if that is the row's element */
    bool misaligned, sliced;
    uint64_t seed;
    uint64_t drawn; /* random words so far */
    struct sl_philox words;
    struct check_buffer buffers[CHECK_BUFFERS];
    int count;
    float *scratch; /* NULL: the row needs none */
    union {
        double align;
        unsigned char bytes[256];
    } args;
    union {
        double align;
        unsigned char bytes[SL_SHAPE_BYTES];
    } shape_bytes; /* `shape` */
};

/* What the rows of an operation have in common beyond the tolerances of its outputs. What changes parameters has equal
 * vector rows at least, or replicas on unlike processors would part. A NaN equals a NaN. */
enum check_bits {
    CHECK_CLOSE,         /* nothing */
    CHECK_VECTORS_EQUAL, /* every bit, but for the reference's */
    CHECK_ALL_EQUAL,     /* every bit */
};

struct check_op {
    enum sl_op op;
    size_t shapes;   /* to check: chosen to hurt */
    size_t measured; /* behind them those worth measuring: of the default network, batch 32; at least one */
    /* The shape structure of case `index`, of floats; writes its name. */
    const void *(*shape)(size_t index, char *name, size_t size);
    /* Allocates and fills the buffers, and the arguments. Measured ones are used over and over: what is read and
     * written stays finite. */
    void (*set_up)(struct check_case *c);
    /* NULL, or brings the outputs to a form that all rows share (joins records); runs before they are compared. */
    void (*finish)(struct check_case *c);
    enum check_bits bits;
};

struct check_area {
    const struct check_op *ops;
    size_t count;
};

/* Every area: one for each check_*.c. */
#define CHECK_AREAS(AREA) \
    AREA(conv)            \
    AREA(norm)            \
    AREA(pool)            \
    AREA(activation)      \
    AREA(softmax) AREA(elementwise) AREA(convert) AREA(optimizer) AREA(step) AREA(image) AREA(threshold)
#define CHECK_DECLARE(area) extern const struct check_area check_##area;
CHECK_AREAS(CHECK_DECLARE)
#undef CHECK_DECLARE

/* NULL: no area knows the operation. */
const struct check_op *check_find_op(enum sl_op op);
/* The last row of that element, which every processor runs; NULL: there is none. */
const struct sl_kernel_row *check_find_reference(enum sl_op op, enum sl_element element);

/* --- for programs --- */

/* Readies a cleared case, in which the kind (measured, ...) and the seed are chosen, for a row: in the plain way, on
 * any shape. False if the row does not take it. */
bool check_set_up(struct check_case *c, const struct check_op *op, const void *shape, const struct sl_kernel_row *row);
/* Does the row take shape `index` of its operation, in its own element? */
bool check_takes(const struct check_op *op, size_t index, const struct sl_kernel_row *row);
/* check_set_up on shape `index` of the operation. */
bool check_set_up_at(struct check_case *c, const struct check_op *op, size_t index, const struct sl_kernel_row *row);
/* All units, in one slice or in seven uneven ones; a device's row works on copies of the buffers. False: the device
 * failed, and sl_last_error says how. */
bool check_run(struct check_case *c);
void check_release(struct check_case *c);

/* The first byte around a buffer that has changed, or NULL. */
const unsigned char *check_margins(const struct check_buffer *b);

/* check_run and check_pack of a case with a device (check_device.c). Packing leaves what went wrong to the run. */
bool check_run_there(struct check_case *c);
void check_pack_there(struct check_case *c, const float *weights, float *packed);
/* Seconds of one run on the case's device: the median of `rounds`, each of `launches` one after the other, so that the
 * host's part is hidden where a run takes longer than a launch. Negative: the device failed. */
double check_time_there(struct check_case *c, int rounds, int launches, double (*clock)(void));

/* Bytes that one run has to move: inputs and outputs. What check_work gives (records) is small beside them. */
struct check_traffic {
    size_t reads, writes;
    bool in_place; /* what is written was read: no cache line is fetched only to be overwritten */
};
struct check_traffic check_traffic_of(const struct check_case *c);

/* The number at `i` of a buffer. */
float check_get(const struct check_buffer *b, size_t i);

/* --- for set_up: buffers live until the case is over --- */

/* Read-only input of n floats. */
float *check_input(struct check_case *c, const char *name, size_t n, enum check_fill fill);
/* The same with `channels` values and zeros up to `stride` for each of `rows`. */
float *check_input_rows(struct check_case *c, const char *name, int64_t rows, int32_t channels, int32_t stride,
                        enum check_fill fill);
/* The same of the case's element: activations. */
void *check_input_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                         enum check_fill fill);
/* Activations to be filled by the caller with check_put, who then calls check_freeze. */
void *check_input_elements(struct check_case *c, const char *name, size_t n);
void check_put(struct check_case *c, void *at, size_t i, float value);
/* Read-only input to be filled by the caller, who then calls check_freeze. A misaligned one is aligned to no more than
 * `alignment`, that of its type. */
void *check_input_bytes(struct check_case *c, const char *name, size_t bytes, size_t alignment);
void check_freeze(struct check_case *c, void *at);
/* Output of n floats, NaN until written; compared with the reference's. */
float *check_output(struct check_case *c, const char *name, size_t n, struct check_tolerance tolerance);
/* Output of n bf16. */
sl_bf16 *check_output_bf16(struct check_case *c, const char *name, size_t n);
/* Output whose lanes [channels, stride) must be zero. */
float *check_output_rows(struct check_case *c, const char *name, int64_t rows, int32_t channels, int32_t stride,
                         struct check_tolerance tolerance);
/* The same of the case's element. */
void *check_output_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                          struct check_tolerance tolerance);
/* Of the case's element, filled like an input, writable and compared like an output. */
void *check_inout(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                  enum check_fill fill, struct check_tolerance tolerance);
/* Memory that may differ between rows (records): guarded, NaN, only compared between slicings. */
float *check_work(struct check_case *c, const char *name, size_t n);
double *check_work_double(struct check_case *c, const char *name, size_t n);
/* The buffer there. */
struct check_buffer *check_buffer_at(struct check_case *c, const void *at);
/* An operation that does not touch all of a buffer says how many bytes it reads and writes. */
void check_moves(struct check_case *c, const void *at, size_t reads, size_t writes);
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

/* Stops the program with a message if the set-up itself is at fault. */
void check_must(bool holds, const char *what);

#ifdef __cplusplus
}
#endif
#endif
