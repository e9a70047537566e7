/* A cuDNN that computes on the processor, from what its descriptors were told, and that fails where a test wants it to.
 * It counts what is alive. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cudnn.h"
#include "tests/fake/cudnn_functions.h"
#include "tests/fake/fake_cudnn.h"
#include "tests/fake/fake_cudnn_graph.h"

enum { FAILURE = 3000 };

static struct fake_cudnn fake = {.mode = SL_CUDNN_HEUR_MODE_A, .first_engine = FAKE_CUDNN_ENGINE, .workspace = 1000};

/* What programs that know nothing of it say to it. */
static void __attribute__((constructor)) read_environment(void)
{
    const char *images = getenv("FAKE_CUDNN_IMAGES");
    fake.images = images ? strtoll(images, NULL, 10) : 0;
}

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
    switch (type) {
    case SL_CUDNN_TYPE_BOOLEAN:
        return 1;
    case SL_CUDNN_TYPE_HANDLE:
    case SL_CUDNN_TYPE_INT64:
    case SL_CUDNN_TYPE_VOID_PTR:
    case SL_CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    case SL_CUDNN_TYPE_FRACTION:
        return 16;
    default:
        return 4;
    }
}

int cudnnBackendSetAttribute(void *descriptor, int name, int type, int64_t count, const void *values)
{
    struct descriptor *d = descriptor;
    if (call('a'))
        return FAILURE;
    if (d->finished || d->count == FAKE_ATTRIBUTES || (size_t)count * size_of(type) > FAKE_BYTES)
        return 1;
    d->attributes[d->count].name = name;
    memcpy(d->attributes[d->count++].bytes, values, (size_t)count * size_of(type));
    return 0;
}

/* Is a plan for the number of images that a test wants? */
static bool refuses_images(const struct descriptor *plan)
{
    const struct descriptor *config = fake_get_descriptor(plan, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG);
    const struct descriptor *operation = fake_get_descriptor(config->graph, SL_CUDNN_OPERATIONGRAPH_OPS);
    return fake.images > 0 && fake_images(operation) != fake.images;
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
        const int32_t mode = *(const int32_t *)fake_get(d, SL_CUDNN_ENGINEHEUR_MODE);
        *count = mode == fake.mode ? fake.note_count + 1 : 0;
        for (int i = 0; i < *count; i++) {
            ((struct descriptor **)values)[i]->index = i;
            ((struct descriptor **)values)[i]->graph = fake_get_descriptor(d, SL_CUDNN_ENGINEHEUR_OPERATION_GRAPH);
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
        fake.chosen = fake_get_descriptor(d, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG)->index;
    }
    return 0;
}

int cudnnBackendExecute(void *handle, void *plan, void *pack)
{
    (void)handle;
    if (call('x'))
        return FAILURE;
    const struct descriptor *config = fake_get_descriptor(plan, SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG);
    const struct descriptor *operation = fake_get_descriptor(config->graph, SL_CUDNN_OPERATIONGRAPH_OPS);
    if (fake.workspace > 0)
        memset(*(void *const *)fake_get(pack, SL_CUDNN_VARIANT_PACK_WORKSPACE), 0xff, (size_t)fake.workspace);
    fake_compute(operation, pack);
    return 0;
}

/* ---- softmax ---- */

struct rows {
    int n, c, stride;
};

int cudnnCreateTensorDescriptor(void **tensor)
{
    if (call('c'))
        return FAILURE;
    fake.descriptors++;
    *tensor = calloc(1, sizeof(struct rows));
    return 0;
}

int cudnnDestroyTensorDescriptor(void *tensor)
{
    return cudnnBackendDestroyDescriptor(tensor);
}

int cudnnSetTensor4dDescriptorEx(void *tensor, int type, int n, int c, int h, int w, int by_n, int by_c, int by_h,
                                 int by_w)
{
    if (call('a'))
        return FAILURE;
    *(struct rows *)tensor = (struct rows){n, c, by_n};
    return type == SL_CUDNN_DATA_FLOAT && h == 1 && w == 1 && by_c == 1 && by_h == by_n && by_w == by_n ? 0 : 1;
}

int cudnnSoftmaxForward(void *handle, int algorithm, int mode, const void *alpha, void *x_tensor, const void *x,
                        const void *beta, void *y_tensor, void *y)
{
    const struct rows *rows = x_tensor;
    (void)handle;
    if (call('x'))
        return FAILURE;
    if (algorithm != SL_CUDNN_SOFTMAX_ACCURATE || mode != SL_CUDNN_SOFTMAX_MODE_CHANNEL || x_tensor != y_tensor ||
        *(const float *)alpha != 1.0f || *(const float *)beta != 0.0f)
        return 1;
    for (int i = 0; i < rows->n; i++) {
        const float *from = (const float *)x + (ptrdiff_t)i * rows->stride;
        float *to = (float *)y + (ptrdiff_t)i * rows->stride, most = -INFINITY;
        double sum = 0.0;
        for (int c = 0; c < rows->c; c++)
            most = fmaxf(most, from[c]);
        for (int c = 0; c < rows->c; c++)
            sum += exp((double)from[c] - (double)most);
        for (int c = 0; c < rows->c; c++)
            to[c] = (float)(exp((double)from[c] - (double)most) / sum);
    }
    return 0;
}
