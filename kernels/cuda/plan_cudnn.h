/* A graph of cuDNN, from its description to a plan that runs. */
#ifndef SL_KERNELS_CUDA_PLAN_CUDNN_H
#define SL_KERNELS_CUDA_PLAN_CUDNN_H

#include "kernels/cuda/cudnn.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_CUDNN_TENSORS = 8, SL_CUDNN_KEPT = 16 };

/* A plan, or what there is of it so far. A cleared one is closed. */
struct sl_cudnn_plan {
    void *handle;
    void *kept[SL_CUDNN_KEPT]; /* descriptors, of which each leads to those before it; the last is the plan */
    int count, tensors;
    int64_t workspace; /* bytes */
};

struct sl_cudnn_attribute {
    int name, type;
    int64_t count;
    const void *values;
};

/* n images of h x w pixels of c channels (of weights, n is the filters), from an address that is a multiple of 16 if
 * its bytes are. */
struct sl_cudnn_tensor {
    int32_t type; /* SL_CUDNN_DATA_... */
    int64_t n, h, w, c;
    int64_t stride; /* elements from one pixel to the next; 0: c */
    bool by_value;  /* one number in the host's memory */
};

/* Which plans will do. All have the same bits in each run, and compute the formula as it stands. */
struct sl_cudnn_terms {
    bool tensor_cores; /* products may be rounded to tf32, or are of bf16 */
    uint64_t without;  /* a bit for each engine, by its number, that is not to be taken */
    int64_t most;      /* bytes of workspace */
};

static inline int32_t sl_cudnn_type(enum sl_element element)
{
    return element == SL_ELEMENT_BF16 ? SL_CUDNN_DATA_BFLOAT16 : SL_CUDNN_DATA_FLOAT;
}

/* The padding behind one axis that gives it so many outputs: as much as before it, which more engines take, else what
 * the last output reaches. Negative: outputs end too early for cuDNN, which makes all that fit. */
static inline int64_t sl_cudnn_padding_after(int64_t length, int64_t taps, int64_t stride, int64_t before,
                                             int64_t outputs)
{
    const int64_t reach = (outputs - 1) * stride + taps - length - before;
    const int64_t choices[] = {before, reach > 0 ? reach : 0};
    for (int i = 0; i < 2; i++) {
        const int64_t room = length + before + choices[i] - taps;
        if (room >= 0 && room / stride + 1 == outputs)
            return choices[i];
    }
    return -1;
}

/* Makes the descriptors of a graph's one operation. */
typedef int sl_cudnn_operation_fn(struct sl_cudnn_plan *plan, const void *self, void **operation);

/* The graph's next tensor; they get their data in this order. */
int sl_cudnn_plan_tensor(struct sl_cudnn_plan *plan, const struct sl_cudnn_tensor *tensor, void **descriptor);

/* Another descriptor, which lives as long as the plan. */
int sl_cudnn_plan_make(struct sl_cudnn_plan *plan, int type, const struct sl_cudnn_attribute *attributes, int count,
                       const char *what, void **descriptor);

/* The first plan for the operation that cuDNN suggests and that will do. SL_UNAVAILABLE: there is none for `what`. */
int sl_cudnn_plan_open(const struct sl_device *device, const struct sl_cudnn_terms *terms, const char *what,
                       sl_cudnn_operation_fn *make_operation, const void *self, struct sl_cudnn_plan *plan);
void sl_cudnn_plan_close(struct sl_cudnn_plan *plan);

/* What a plan may work with on the device, NULL being the host: an eighth of its memory, at most 1 GiB. All rows share
 * one scratch, which the device makes once, as large as the largest. */
int64_t sl_cudnn_most_workspace(const struct sl_device *device);

/* On the stream of the work. What goes wrong is noted (cudnn.h). */
void sl_cudnn_plan_run(const struct sl_cudnn_plan *plan, const void *const *pointers, void *workspace,
                       const struct sl_work *work);

/* ---- below this line, of plans alone ---- */

/* Makes and finalizes a descriptor; a status of cuDNN. */
int sl_cudnn_make(int type, const struct sl_cudnn_attribute *attributes, int count, void **descriptor);
void sl_cudnn_destroy(void *descriptor);
void sl_cudnn_plan_keep(struct sl_cudnn_plan *plan, void *descriptor);

#ifdef __cplusplus
}
#endif
#endif
