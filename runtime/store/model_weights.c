#include "runtime/store/model_weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/host_copy.h"

static size_t parameter_count(const struct sl_graph *graph)
{
    size_t n = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        n += (size_t)graph->layers[i].parameter_count;
    return n;
}

enum { NAME_BYTES = 2 * (SL_MAX_NAME + 1) };

static void describe(const struct sl_graph *graph, int32_t layer, int32_t k, char *name, struct sl_named_tensor *tensor)
{
    const struct sl_parameter *p = &graph->layers[layer].parameters[k];
    snprintf(name, NAME_BYTES, "%s.%s", graph->layers[layer].name, p->name);
    *tensor = (struct sl_named_tensor){.name = name, .dtype = SL_F32, .rank = p->rank};
    memcpy(tensor->shape, p->shape, (size_t)p->rank * sizeof *p->shape);
}

void sl_weights_image_close(struct sl_weights_image *image)
{
    free(image->tensors);
    free(image->owned[0]);
    free(image->owned[1]);
    *image = (struct sl_weights_image){0};
}

/* One block: the tensors, then their names; without data. */
static int describe_all(const struct sl_graph *graph, struct sl_weights_image *image)
{
    image->count = parameter_count(graph);
    image->tensors = malloc(image->count * (sizeof *image->tensors + NAME_BYTES) + 1);
    if (!image->tensors)
        return sl_fail(SL_SYSTEM, "out of memory for %zu parameters", image->count);
    char *names = (char *)(image->tensors + image->count);
    size_t at = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++, at++)
            describe(graph, i, k, names + at * NAME_BYTES, &image->tensors[at]);
    return SL_OK;
}

/* The tensors of that role lie in `base`. */
static void point(struct sl_weights_image *image, const struct sl_weights *weights, enum sl_parameter_role role,
                  const float *base)
{
    const struct sl_graph *graph = weights->graph;
    size_t at = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++, at++)
            if (graph->layers[i].parameters[k].role == role)
                image->tensors[at].data = base + weights->offsets[i][k];
}

void sl_weights_image_statistics(struct sl_weights_image *image, const struct sl_weights *weights,
                                 const float *statistics)
{
    point(image, weights, SL_ROLE_STATE, statistics);
}

int sl_weights_image_open(const struct sl_weights *weights, struct sl_weights_image *image)
{
    int rc = SL_OK;
    const struct sl_graph *graph = weights->graph;
    const void *values, *statistics;
    *image = (struct sl_weights_image){0};
    SL_TRY(describe_all(graph, image));
    SL_TRY(sl_host_copy(weights->device, weights->values, (size_t)weights->trained * sizeof(float), &values,
                        &image->owned[0]));
    SL_TRY(sl_host_copy(weights->device, weights->statistics, (size_t)weights->state * sizeof(float), &statistics,
                        &image->owned[1]));
    point(image, weights, SL_ROLE_WEIGHT, values);
    point(image, weights, SL_ROLE_VECTOR, values);
    point(image, weights, SL_ROLE_STATE, statistics);
out:
    if (rc != SL_OK)
        sl_weights_image_close(image);
    return rc;
}

static bool same_shape(const struct sl_named_tensor *a, const struct sl_named_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           !memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape);
}

/* The file has these tensors and no other. */
static int check_tensors(const struct sl_safetensors *file, const struct sl_weights_image *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct sl_named_tensor *tensor = &wanted->tensors[i], *found = sl_safetensors_find(file, tensor->name);
        if (!found)
            return sl_fail(SL_BAD_CONFIG, "the file has no tensor \"%s\": it is of another network", tensor->name);
        if (!same_shape(found, tensor))
            return sl_fail(SL_BAD_CONFIG, "tensor \"%s\" has another shape or type: the file is of another network",
                           tensor->name);
    }
    if (sl_safetensors_count(file) != wanted->count)
        return sl_fail(SL_BAD_CONFIG, "the file has %zu tensors and the network %zu: it is of another network",
                       sl_safetensors_count(file), wanted->count);
    return SL_OK;
}

int sl_weights_load(struct sl_weights *weights, const struct sl_safetensors *file)
{
    int rc = SL_OK;
    const struct sl_graph *graph = weights->graph;
    const struct sl_device *device = weights->device;
    struct sl_weights_image wanted = {0};
    size_t at = 0;
    SL_TRY(describe_all(graph, &wanted));
    SL_TRY(check_tensors(file, &wanted));
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++, at++)
            SL_TRY(device->copy(device->self, sl_weights_at(weights, i, k),
                                sl_safetensors_find(file, wanted.tensors[at].name)->data,
                                (size_t)sl_parameter_floats(&graph->layers[i].parameters[k]) * sizeof(float)));
out:
    sl_weights_image_close(&wanted);
    return rc;
}
