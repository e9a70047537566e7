/* From an operation to work on a device: one function chooses the row, one launches it. */
#ifndef SL_KERNELS_LAUNCH_H
#define SL_KERNELS_LAUNCH_H

#include "kernels/exec.h"
#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A row made ready for one shape. */
struct sl_ready {
    const struct sl_kernel_row *row; /* NULL: nothing is ready */
    struct sl_need need;
    void *state;
    unsigned char shape[SL_SHAPE_BYTES];
};

/* Why a row was chosen. */
enum sl_reason {
    SL_REASON_FIRST,  /* of the table, that the device can run and that takes the shape */
    SL_REASON_FORCED, /* SL_KERNEL names it */
    SL_REASON_AMONG,  /* the first of those that come first; another stands before it */
    SL_REASON_WISHED, /* the caller named it */
};

/* Which rows come before all others. */
enum sl_among {
    SL_AMONG_ALL,
    SL_AMONG_EXACT, /* those that do not transform */
    SL_AMONG_OWN,   /* those of no library; it is only these, then */
    SL_AMONG_CUDNN, /* those of cuDNN */
};

/* The row for an operation on a device: ready for the shape it was chosen for and for one more, so that the short
 * batch at an epoch's end prepares nothing twice. A cleared one is closed. */
struct sl_choice {
    enum sl_op op;
    enum sl_among among; /* also for the other shape */
    const struct sl_device *device;
    enum sl_reason reason;
    char why[SL_WHY_BYTES]; /* the same, for people */
    struct sl_ready ready[2];
    const struct sl_kernel_row *packer; /* made the packed weights; NULL: nobody has */
};

/* What a caller wants of a choice, beyond the first row of the table. A row that SL_KERNEL names comes before it. */
struct sl_wish {
    const struct sl_kernel_row *row; /* one of the device's, if it takes the shape; NULL: the first */
    const char *why;                 /* the wish's reason, for people; with a row */
    enum sl_among among;             /* else the first of these, if there is any */
    bool quiet;                      /* only to look: SL_VERBOSE=1 does not print it */
};

/* Chooses the first of the device's rows that its instruction sets allow and that takes the shape; one that SL_KERNEL
 * names comes before. SL_UNAVAILABLE: the device has none. SL_SYSTEM. */
int sl_choose(const struct sl_device *device, enum sl_op op, const void *shape, struct sl_choice *choice);
int sl_choose_as(const struct sl_device *device, enum sl_op op, const void *shape, const struct sl_wish *wish,
                 struct sl_choice *choice);
void sl_choice_close(struct sl_choice *choice);

static inline const struct sl_kernel_row *sl_choice_row(const struct sl_choice *choice)
{
    return choice->ready[0].row;
}

/* What the chosen row needs at the shape it was chosen for. */
static inline const struct sl_need *sl_choice_need(const struct sl_choice *choice)
{
    return &choice->ready[0].need;
}

/* Partial results of the last launch at this shape (need.records). 0: it is ready no more. */
int64_t sl_choice_records(const struct sl_choice *choice, const void *shape);

/* At least as many as a launch at this shape may leave, whichever row it gets: to make room for them. */
int64_t sl_choice_most_records(const struct sl_choice *choice, const void *shape);

/* The same for need.parts. */
int64_t sl_choice_most_parts(const struct sl_choice *choice, const void *shape);

/* The same for need.packed. */
size_t sl_choice_most_packed(const struct sl_choice *choice, const void *shape);

/* Makes a row ready for the shape, as a launch does, and says what it needs there; it lasts until the launch after. */
int sl_choice_ready(struct sl_choice *choice, const void *shape, const struct sl_need **need);

/* Runs the operation on `shape`, which may be another than the one chosen for: then the chosen row is made ready for
 * it, or else a later one, or, where the chosen one may refuse, an earlier one, and any but the chosen one is named
 * with SL_VERBOSE=1. Typed, per operation: sl_launch_OP below. */
int sl_launch(struct sl_choice *choice, enum sl_op op, const void *shape, const void *args);

/* Re-orders weights as the row for this shape wants them; a no-op for one that reads them as stored. */
int sl_launch_pack(struct sl_choice *choice, const void *shape, const float *weights, void *packed);

/* Weights that sl_launch_pack has re-ordered, as the row for this shape reads them: `weights` themselves, or `packed`,
 * which is packed again if another row did that. */
int sl_choice_weights(struct sl_choice *choice, const void *shape, const float *weights, float *packed,
                      const float **ready);

#define SL_OP(op, shape_type, args_type)                                                             \
    struct shape_type;                                                                               \
    struct args_type;                                                                                \
    static inline int sl_choose_##op(const struct sl_device *device, const struct shape_type *shape, \
                                     struct sl_choice *choice)                                       \
    {                                                                                                \
        return sl_choose(device, SL_OP_##op, shape, choice);                                         \
    }                                                                                                \
    static inline int sl_launch_##op(struct sl_choice *choice, const struct shape_type *shape,       \
                                     const struct args_type *args)                                   \
    {                                                                                                \
        return sl_launch(choice, SL_OP_##op, shape, args);                                           \
    }
#include "kernels/ops.def"
#undef SL_OP

#ifdef __cplusplus
}
#endif
#endif
