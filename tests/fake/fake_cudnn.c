/* A cuDNN that computes on the processor, from what its descriptors were told, and that fails where a test wants it to.
 * It counts what is alive. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/cuda/cudnn.h"
#include "tests/fake/fake_cudnn.h"

enum { ATTRIBUTES = 16, BYTES = 64, FAILURE = 3000 };

struct descriptor {
    int type, count;
    bool finished;
    int index;                      /* of an engine and its configuration, */
    const struct descriptor *graph; /* and what the configuration is for */
    struct {
        int name;
        _Alignas(max_align_t) unsigned char bytes[BYTES];
    } attributes[ATTRIBUTES];
};

static struct fake_cudnn fake = {.mode = SL_CUDNN_HEUR_MODE_A, .first_engine = FAKE_CUDNN_ENGINE, .workspace = 1000};

size_t cudnnGetVersion(void);
const char *cudnnGetErrorString(int status);
int cudnnCreate(void **handle);
int cudnnDestroy(void *handle);
int cudnnSetStream(void *handle, void *stream);
int cudnnBackendCreateDescriptor(int type, void **descriptor);
int cudnnBackendDestroyDescriptor(void *descriptor);
int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values);
int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values);
int cudnnBackendFinalize(void *descriptor);
int cudnnBackendExecute(void *handle, void *plan, void *pack);

struct fake_cudnn *fake_cudnn_state(void)
{
    return &fake;
}

/* Every call goes through here: its turn may have come to fail. */
static int call(char letter)
{
    if (fake.calls < FAKE_CUDNN_CALLS)
        fake.trace[fake.calls] = letter;
    return ++fake.calls == fake.fail_at ? FAILURE : 0;
}

size_t cudnnGetVersion(void)
{
    return 91900;
}

const char *cudnnGetErrorString(int status)
{
    return status == FAILURE ? "FAKE_FAILURE" : "FAKE_MISUSE";
}

int cudnnCreate(void **handle)
{
    if (call('h'))
        return FAILURE;
    fake.handles++;
    *handle = malloc(1);
    return 0;
}

int cudnnDestroy(void *handle)
{
    fake.handles--;
    free(handle);
    return 0;
}

int cudnnSetStream(void *handle, void *stream)
{
    (void)handle, (void)stream;
    return call('s');
}

int cudnnBackendCreateDescriptor(int type, void **descriptor)
{
    if (call('c'))
        return FAILURE;
    struct descriptor *d = calloc(1, sizeof *d);
    d->type = type;
    fake.descriptors++;
    *descriptor = d;
    return 0;
}

int cudnnBackendDestroyDescriptor(void *descriptor)
{
    fake.descriptors--;
    free(descriptor);
    return 0;
}

static size_t size_of(int type)
{
    const bool is_short = type == SL_CUDNN_TYPE_DATA_TYPE || type == SL_CUDNN_TYPE_FLOAT ||
                          type == SL_CUDNN_TYPE_CONVOLUTION_MODE || type == SL_CUDNN_TYPE_HEUR_MODE;
    return is_short ? 4 : 8;
}

int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values)
{
    struct descriptor *d = descriptor;
    if (call('a'))
        return FAILURE;
    if (d->finished || d->count == ATTRIBUTES || (size_t)count * size_of(type) > BYTES)
        return 1;
    d->attributes[d->count].name = name;
    memcpy(d->attributes[d->count++].bytes, values, (size_t)count * size_of(type));
    return 0;
}

static const void *get(const struct descriptor *d, int name)
{
    for (int i = 0; i < d->count; i++)
        if (d->attributes[i].name == name)
            return d->attributes[i].bytes;
    fprintf(stderr, "fake cuDNN: a descriptor of type %d lacks %d\n", d->type, name);
    abort();
}

static const struct descriptor *get_descriptor(const struct descriptor *d, int name)
{
    return *(struct descriptor *const *)get(d, name);
}

/* The attributes of a convolution: its window, x, w and y. */
static const int *names_of(const struct descriptor *operation)
{
    static const int names[][4] = {
        {SL_CUDNN_FORWARD_CONV_DESC, SL_CUDNN_FORWARD_X, SL_CUDNN_FORWARD_W, SL_CUDNN_FORWARD_Y},
        {SL_CUDNN_BWD_FILTER_CONV_DESC, SL_CUDNN_BWD_FILTER_X, SL_CUDNN_BWD_FILTER_DW, SL_CUDNN_BWD_FILTER_DY},
        {SL_CUDNN_BWD_DATA_CONV_DESC, SL_CUDNN_BWD_DATA_DX, SL_CUDNN_BWD_DATA_W, SL_CUDNN_BWD_DATA_DY}};
    return names[operation->type - SL_CUDNN_OPERATION_CONVOLUTION_FORWARD];
}

/* Is a plan for the number of images that a test wants? */
static bool refuses_images(const struct descriptor *plan)
{
    const struct descriptor *config = get_descriptor(plan, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG);
    const struct descriptor *operation = get_descriptor(config->graph, SL_CUDNN_OPERATIONGRAPH_OPS);
    const struct descriptor *x = get_descriptor(operation, names_of(operation)[1]);
    return fake.images > 0 && *(const int64_t *)get(x, SL_CUDNN_TENSOR_DIMENSIONS) != fake.images;
}

int cudnnBackendFinalize(void *descriptor)
{
    struct descriptor *d = descriptor;
    if (call('f'))
        return FAILURE;
    d->finished = true;
    return d->type == SL_CUDNN_EXECUTION_PLAN && (fake.refused_plans-- > 0 || refuses_images(d)) ? FAILURE : 0;
}

/* An engine for each note that a test lists, and at last one that says nothing of itself. */
int cudnnBackendGetAttribute(void *descriptor, int name, int type, int64_t room, int64_t *count, void *values)
{
    struct descriptor *d = descriptor;
    (void)type, (void)room;
    if (call('g'))
        return FAILURE;
    *count = 1;
    if (name == SL_CUDNN_ENGINEHEUR_RESULTS) {
        const int32_t mode = *(const int32_t *)get(d, SL_CUDNN_ENGINEHEUR_MODE);
        *count = mode == fake.mode ? fake.note_count + 1 : 0;
        for (int i = 0; i < *count; i++) {
            ((struct descriptor **)values)[i]->index = i;
            ((struct descriptor **)values)[i]->graph = get_descriptor(d, SL_CUDNN_ENGINEHEUR_OPERATION_GRAPH);
        }
    } else if (name == SL_CUDNN_ENGINECFG_ENGINE) {
        (*(struct descriptor **)values)->index = d->index;
    } else if (name == SL_CUDNN_ENGINE_GLOBAL_INDEX) {
        *(int64_t *)values = fake.first_engine + d->index;
    } else if (name == SL_CUDNN_ENGINE_NUMERICAL_NOTE) {
        *count = d->index < fake.note_count;
        if (*count)
            *(int32_t *)values = fake.notes[d->index];
    } else if (name == SL_CUDNN_EXECUTION_PLAN_WORKSPACE_SIZE) {
        *(int64_t *)values = fake.workspace;
        fake.chosen = get_descriptor(d, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG)->index;
    }
    return 0;
}

/* ---- computing ---- */

struct tensor {
    const int64_t *lengths, *strides; /* n c h w */
    bool rounded;
    void *at;
};

static struct tensor tensor_of(const struct descriptor *operation, int name, const struct descriptor *pack)
{
    const struct descriptor *d = get_descriptor(operation, name);
    const int64_t id = *(const int64_t *)get(d, SL_CUDNN_TENSOR_UNIQUE_ID);
    const int64_t *ids = get(pack, SL_CUDNN_VARIANT_PACK_UNIQUE_IDS);
    void *const *pointers = get(pack, SL_CUDNN_VARIANT_PACK_DATA_POINTERS);
    struct tensor t = {get(d, SL_CUDNN_TENSOR_DIMENSIONS), get(d, SL_CUDNN_TENSOR_STRIDES),
                       *(const int32_t *)get(d, SL_CUDNN_TENSOR_DATA_TYPE) == SL_CUDNN_DATA_BFLOAT16, NULL};
    for (int i = 0; i < 3; i++)
        if (ids[i] == id)
            t.at = pointers[i];
    if (!t.at || (uintptr_t)t.at % (size_t) * (const int64_t *)get(d, SL_CUDNN_TENSOR_BYTE_ALIGNMENT))
        abort();
    return t;
}

static int64_t place(const struct tensor *t, int64_t n, int64_t c, int64_t h, int64_t w)
{
    return n * t->strides[0] + c * t->strides[1] + h * t->strides[2] + w * t->strides[3];
}

static double read(const struct tensor *t, int64_t at)
{
    return t->rounded ? sl_bf16_to_float(((sl_bf16 *)t->at)[at]) : ((float *)t->at)[at];
}

static int64_t elements(const struct tensor *t)
{
    return t->lengths[0] * t->lengths[1] * t->lengths[2] * t->lengths[3];
}

/* Adds up all products of one output pixel; the pass decides which of the three they are added to. */
static void add_pixel(const struct descriptor *window, int type, const struct tensor *x, const struct tensor *w,
                      const struct tensor *y, double *sums, int64_t n, int64_t p, int64_t q)
{
    const int64_t *before = get(window, SL_CUDNN_CONVOLUTION_PRE_PADDINGS),
                  *stride = get(window, SL_CUDNN_CONVOLUTION_FILTER_STRIDES);
    for (int64_t k = 0; k < w->lengths[0]; k++)
        for (int64_t i = 0; i < w->lengths[1] * w->lengths[2] * w->lengths[3]; i++) {
            const int64_t c = i % w->lengths[1], s = i / w->lengths[1] % w->lengths[3],
                          r = i / w->lengths[1] / w->lengths[3];
            const int64_t row = p * stride[0] + r - before[0], column = q * stride[1] + s - before[1];
            if (row < 0 || row >= x->lengths[2] || column < 0 || column >= x->lengths[3])
                continue;
            const int64_t at_x = place(x, n, c, row, column), at_w = place(w, k, c, r, s), at_y = place(y, n, k, p, q);
            if (type == SL_CUDNN_OPERATION_CONVOLUTION_FORWARD)
                sums[at_y] += read(x, at_x) * read(w, at_w);
            else if (type == SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA)
                sums[at_x] += read(y, at_y) * read(w, at_w);
            else
                sums[at_w] += read(x, at_x) * read(y, at_y);
        }
}

/* Do so many outputs follow from lengths, paddings and strides? */
static bool fits(const struct descriptor *window, const struct tensor *x, const struct tensor *w,
                 const struct tensor *y)
{
    const int64_t *before = get(window, SL_CUDNN_CONVOLUTION_PRE_PADDINGS),
                  *after = get(window, SL_CUDNN_CONVOLUTION_POST_PADDINGS),
                  *stride = get(window, SL_CUDNN_CONVOLUTION_FILTER_STRIDES);
    for (int i = 0; i < 2; i++)
        if ((x->lengths[2 + i] + before[i] + after[i] - w->lengths[2 + i]) / stride[i] + 1 != y->lengths[2 + i] ||
            before[i] < 0 || after[i] < 0)
            return false;
    return x->lengths[1] == w->lengths[1] && y->lengths[1] == w->lengths[0] && x->lengths[0] == y->lengths[0];
}

static void compute(const struct descriptor *operation, const int names[4], const struct descriptor *pack)
{
    const struct descriptor *window = get_descriptor(operation, names[0]);
    const struct tensor x = tensor_of(operation, names[1], pack), w = tensor_of(operation, names[2], pack),
                        y = tensor_of(operation, names[3], pack);
    const int type = operation->type;
    const struct tensor *to = type == SL_CUDNN_OPERATION_CONVOLUTION_FORWARD         ? &y
                              : type == SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA ? &x
                                                                                     : &w;
    double *sums = calloc((size_t)elements(to), sizeof *sums);
    if (!fits(window, &x, &w, &y))
        abort();
    for (int64_t i = 0; i < y.lengths[0] * y.lengths[2] * y.lengths[3]; i++)
        add_pixel(window, type, &x, &w, &y, sums, i / y.lengths[3] / y.lengths[2], i / y.lengths[3] % y.lengths[2],
                  i % y.lengths[3]);
    for (int64_t i = 0; i < elements(to); i++) {
        if (to->rounded)
            ((sl_bf16 *)to->at)[i] = sl_bf16_from_float((float)sums[i]);
        else
            ((float *)to->at)[i] = (float)sums[i];
    }
    free(sums);
}

int cudnnBackendExecute(void *handle, void *plan, void *pack)
{
    (void)handle;
    if (call('x'))
        return FAILURE;
    const struct descriptor *config = get_descriptor(plan, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG);
    const struct descriptor *operation = get_descriptor(config->graph, SL_CUDNN_OPERATIONGRAPH_OPS);
    if (fake.workspace > 0)
        memset(*(void *const *)get(pack, SL_CUDNN_VARIANT_PACK_WORKSPACE), 0xff, (size_t)fake.workspace);
    compute(operation, names_of(operation), pack);
    return 0;
}
