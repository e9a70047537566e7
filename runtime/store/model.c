#include "runtime/store/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/device/host_copy.h"

void sl_model_close(struct sl_model *model)
{
    for (size_t i = 0; i < model->class_count; i++) {
        free(model->classes[i].id);
        free(model->classes[i].words);
    }
    free(model->classes);
    sl_graph_free(model->graph);
    *model = (struct sl_model){0};
}

int sl_model_take_dataset(struct sl_model *model, const struct sl_dataset *dataset)
{
    model->classes = calloc(dataset->class_count, sizeof *model->classes);
    if (!model->classes)
        return sl_fail(SL_SYSTEM, "out of memory for %zu classes", dataset->class_count);
    model->class_count = dataset->class_count;
    for (size_t i = 0; i < dataset->class_count; i++) {
        model->classes[i] = (struct sl_class){strdup(dataset->classes[i].id), strdup(dataset->classes[i].words)};
        if (!model->classes[i].id || !model->classes[i].words)
            return sl_fail(SL_SYSTEM, "out of memory for %zu classes", dataset->class_count);
    }
    model->apply_orientation = dataset->apply_orientation;
    memcpy(model->mean, dataset->mean, sizeof model->mean);
    memcpy(model->deviation, dataset->deviation, sizeof model->deviation);
    return SL_OK;
}

int sl_model_pixels(const struct sl_model *model, struct sl_pixels *pixels)
{
    const struct sl_tensor *in = &model->graph->layers[0].shape;
    if (in->h != in->w || in->c != 3 || in->h > SL_DATASET_MAX_IMAGE_SIZE)
        return sl_fail(SL_BAD_CONFIG,
                       "the model's input is %d x %d x %d; images are loaded as squares of three channels, of at most "
                       "%d pixels a side",
                       in->h, in->w, in->c, SL_DATASET_MAX_IMAGE_SIZE);
    *pixels = (struct sl_pixels){.size = in->h, .range = model->range, .apply_orientation = model->apply_orientation};
    memcpy(pixels->mean, model->mean, sizeof pixels->mean);
    memcpy(pixels->deviation, model->deviation, sizeof pixels->deviation);
    return SL_OK;
}

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
    size_t at = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].parameter_count; k++, at++) {
            const bool state = graph->layers[i].parameters[k].role == SL_ROLE_STATE;
            image->tensors[at].data = (const float *)(state ? statistics : values) + weights->offsets[i][k];
        }
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

/* A small file must not make its reader take a large network's memory. */
static int check_size(const struct sl_graph *graph, const struct sl_safetensors *file)
{
    const uint64_t parameters = sl_graph_parameters(graph), bytes = sl_safetensors_bytes(file);
    if (parameters > bytes / sizeof(float))
        return sl_fail(SL_BAD_CONFIG,
                       "the file's %" PRIu64 " bytes cannot hold the %" PRIu64
                       " parameters of its network: it is of another network",
                       bytes, parameters);
    return SL_OK;
}

int sl_model_describe(const struct sl_safetensors *file, struct sl_model *model)
{
    int rc = SL_OK;
    const char *text = sl_safetensors_metadata(file, SL_MODEL_METADATA);
    *model = (struct sl_model){0};
    if (!text)
        SL_FAIL(SL_BAD_DATA, "the file has no \"%s\" entry in its metadata: it is no model of ours", SL_MODEL_METADATA);
    SL_TRY(sl_model_from_json(text, strlen(text), model));
    SL_TRY(check_size(model->graph, file));
out:
    if (rc != SL_OK)
        sl_model_close(model);
    return rc;
}
