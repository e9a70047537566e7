#include "runtime/graph/graph.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/graph/layer_type.h"
#include "runtime/graph/option_table.h"

#define SL_LAYER_TYPE(name) &sl_layer_##name,
static const struct sl_layer_type *const layer_types[] = {
#include "runtime/graph/layers.def"
};
#undef SL_LAYER_TYPE

const struct sl_layer_type *sl_layer_type_at(size_t index)
{
    return index < sizeof layer_types / sizeof *layer_types ? layer_types[index] : NULL;
}

const struct sl_layer_type *sl_layer_type_find(const char *name)
{
    for (size_t i = 0; sl_layer_type_at(i); i++)
        if (!strcmp(layer_types[i]->name, name))
            return layer_types[i];
    return NULL;
}

int sl_window_axis(int32_t in, int32_t kernel, int32_t stride, const struct sl_padding *padding, bool vertical,
                   int32_t *out, int32_t *before)
{
    if (padding->mode == SL_PADDING_SAME) {
        *out = (in + stride - 1) / stride;
        const int32_t total = (*out - 1) * stride + kernel - in;
        *before = total > 0 ? total / 2 : 0;
        return SL_OK;
    }
    const bool explicit_padding = padding->mode == SL_PADDING_EXPLICIT;
    *before = !explicit_padding ? 0 : vertical ? padding->top : padding->left;
    const int32_t after = !explicit_padding ? 0 : vertical ? padding->bottom : padding->right;
    const int32_t room = in + *before + after - kernel;
    if (room < 0)
        return sl_fail(SL_BAD_CONFIG, "a kernel of %d does not fit into %d %s", kernel, in,
                       vertical ? "rows" : "columns");
    *out = room / stride + 1;
    return SL_OK;
}

int sl_graph_new(const char *name, struct sl_graph **graph)
{
    if (strlen(name) > SL_MAX_NAME)
        return sl_fail(SL_BAD_CONFIG, "the network's name is longer than %d bytes", SL_MAX_NAME);
    struct sl_graph *g = calloc(1, sizeof *g);
    if (!g)
        return sl_fail(SL_SYSTEM, "out of memory for a graph");
    strcpy(g->name, name);
    *graph = g;
    return SL_OK;
}

void sl_graph_free(struct sl_graph *graph)
{
    if (!graph)
        return;
    for (int32_t i = 0; i < graph->layer_count; i++)
        free(graph->layers[i].options);
    free(graph->layers);
    free(graph);
}

/* Keeps the first error; later calls do nothing. */
static int32_t broken(struct sl_graph *graph, int status, const char *name)
{
    if (graph->status == SL_OK) {
        graph->status = sl_fail_prefix(status, "layer \"%s\"", name);
        strncpy(graph->error, sl_last_error(), sizeof graph->error - 1);
    }
    return -1;
}

/* An empty layer at the end, not yet counted. */
static int next_layer(struct sl_graph *graph, struct sl_layer **layer)
{
    if (graph->layer_count == SL_MAX_LAYERS)
        return sl_fail(SL_BAD_CONFIG, "more than %d layers", SL_MAX_LAYERS);
    struct sl_layer *grown = realloc(graph->layers, (size_t)(graph->layer_count + 1) * sizeof *grown);
    if (!grown)
        return sl_fail(SL_SYSTEM, "out of memory for a layer");
    graph->layers = grown;
    *layer = memset(&grown[graph->layer_count], 0, sizeof *grown);
    return SL_OK;
}

static int check_name(const struct sl_graph *graph, const char *name)
{
    const size_t length = strlen(name);
    if (length == 0 || length > SL_MAX_NAME)
        return sl_fail(SL_BAD_CONFIG, "a layer's name must have 1 to %d characters", SL_MAX_NAME);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '"' || name[i] == '\\' || name[i] == 0x7f)
            return sl_fail(SL_BAD_CONFIG, "the name holds a blank, a quote, a backslash or a control character");
    if (sl_graph_find(graph, name) >= 0)
        return sl_fail(SL_BAD_CONFIG, "the name is already taken");
    return SL_OK;
}

static int check_side(const struct sl_tensor *t)
{
    if (t->h < 1 || t->w < 1 || t->c < 1 || t->h > SL_MAX_SIDE || t->w > SL_MAX_SIDE || t->c > SL_MAX_SIDE)
        return sl_fail(SL_BAD_CONFIG, "the shape is %d x %d x %d; every side must be 1 to %d", t->h, t->w, t->c,
                       SL_MAX_SIDE);
    return SL_OK;
}

int32_t sl_graph_input(struct sl_graph *graph, int32_t height, int32_t width, int32_t channels)
{
    int rc = SL_OK;
    struct sl_layer *layer;
    if (graph->status != SL_OK)
        return -1;
    SL_TRY(next_layer(graph, &layer));
    strcpy(layer->name, "input");
    layer->shape = (struct sl_tensor){1, height, width, channels, channels, SL_ELEMENT_F32};
    if (graph->layer_count != 0)
        SL_FAIL(SL_BAD_CONFIG, "a network must have one input only");
    SL_TRY(check_side(&layer->shape));
    graph->layer_count = 1;
    return 0;
out:
    return broken(graph, rc, "input");
}

static int connect(struct sl_graph *graph, struct sl_layer *layer, const int32_t *inputs, int32_t count,
                   struct sl_tensor *shapes)
{
    const struct sl_layer_type *type = layer->type;
    if (count < type->inputs_min || count > type->inputs_max)
        return sl_fail(SL_BAD_CONFIG, "%s takes %d to %d inputs, not %d", type->name, type->inputs_min,
                       type->inputs_max, count);
    for (int32_t i = 0; i < count; i++) {
        if (inputs[i] < 0 || inputs[i] >= graph->layer_count)
            return sl_fail(SL_BAD_CONFIG, "input %d is not an earlier layer", i);
        layer->inputs[i] = inputs[i];
        shapes[i] = graph->layers[inputs[i]].shape;
    }
    layer->input_count = count;
    return SL_OK;
}

static uint64_t layer_parameters(const struct sl_layer *layer)
{
    uint64_t n = 0;
    for (int32_t k = 0; k < layer->parameter_count; k++)
        n += (uint64_t)sl_parameter_floats(&layer->parameters[k]);
    return n;
}

/* So that no sum of sizes overflows. */
static int check_parameters(const struct sl_graph *graph, const struct sl_layer *layer)
{
    const uint64_t most = (uint64_t)1 << 40;
    if (sl_graph_parameters(graph) + layer_parameters(layer) > most)
        return sl_fail(SL_BAD_CONFIG, "the network has more than %llu parameters", (unsigned long long)most);
    return SL_OK;
}

static int add_layer(struct sl_graph *graph, const char *name, const int32_t *inputs, int32_t count, const char *type,
                     const void *options)
{
    int rc = SL_OK;
    struct sl_tensor shapes[SL_MAX_INPUTS];
    struct sl_layer *layer = NULL;
    SL_TRY(next_layer(graph, &layer));
    SL_TRY(check_name(graph, name));
    strcpy(layer->name, name);
    layer->type = sl_layer_type_find(type);
    if (!layer->type)
        SL_FAIL(SL_BAD_CONFIG, "there is no layer type \"%s\"", type);
    layer->options = calloc(1, layer->type->options_size);
    if (!layer->options)
        SL_FAIL(SL_SYSTEM, "out of memory for options");
    memcpy(layer->options, options, layer->type->options_size);
    SL_TRY(sl_options_complete(layer->type, layer->options));
    SL_TRY(connect(graph, layer, inputs, count, shapes));
    SL_TRY(layer->type->shape(layer->options, shapes, count, &layer->shape));
    SL_TRY(check_side(&layer->shape));
    if (layer->type->parameters)
        layer->parameter_count = layer->type->parameters(layer->options, &shapes[0], layer->parameters);
    assert(layer->parameter_count <= SL_MAX_PARAMETERS && layer->shape.stride >= layer->shape.c);
    SL_TRY(check_parameters(graph, layer));
    graph->layer_count++;
out:
    if (rc != SL_OK && layer)
        free(layer->options);
    return rc;
}

int32_t sl_graph_add_many(struct sl_graph *graph, const char *name, const int32_t *inputs, int32_t input_count,
                          const char *type, const void *options)
{
    if (graph->status != SL_OK)
        return -1;
    const int rc = add_layer(graph, name, inputs, input_count, type, options);
    return rc == SL_OK ? graph->layer_count - 1 : broken(graph, rc, name);
}

int32_t sl_graph_add(struct sl_graph *graph, const char *name, int32_t input, const char *type, const void *options)
{
    return sl_graph_add_many(graph, name, &input, 1, type, options);
}

int32_t sl_graph_add2(struct sl_graph *graph, const char *name, int32_t a, int32_t b, const char *type,
                      const void *options)
{
    const int32_t inputs[2] = {a, b};
    return sl_graph_add_many(graph, name, inputs, 2, type, options);
}

static bool is_used(const struct sl_graph *graph, int32_t value)
{
    for (int32_t i = value + 1; i < graph->layer_count; i++)
        for (int32_t k = 0; k < graph->layers[i].input_count; k++)
            if (graph->layers[i].inputs[k] == value)
                return true;
    return false;
}

int sl_graph_check(struct sl_graph *graph)
{
    if (graph->status != SL_OK)
        return sl_fail(graph->status, "%s", graph->error);
    const int32_t last = graph->layer_count - 1;
    if (last < 1 || graph->layers[last].type != &sl_layer_softmax_nll)
        return sl_fail(SL_BAD_CONFIG, "network \"%s\": its last layer must be softmax_nll", graph->name);
    for (int32_t i = 0; i < last; i++) {
        if (!is_used(graph, i))
            return sl_fail(SL_BAD_CONFIG, "network \"%s\": nothing reads layer \"%s\"", graph->name,
                           graph->layers[i].name);
        if (graph->layers[i].type == &sl_layer_softmax_nll)
            return sl_fail(SL_BAD_CONFIG, "network \"%s\": only the last layer may be softmax_nll, not \"%s\"",
                           graph->name, graph->layers[i].name);
    }
    return SL_OK;
}

int32_t sl_graph_find(const struct sl_graph *graph, const char *name)
{
    for (int32_t i = 0; i < graph->layer_count; i++)
        if (!strcmp(graph->layers[i].name, name))
            return i;
    return -1;
}

int32_t sl_graph_classes(const struct sl_graph *graph)
{
    return graph->layer_count ? graph->layers[graph->layer_count - 1].shape.c : 0;
}

uint64_t sl_graph_parameters(const struct sl_graph *graph)
{
    uint64_t n = 0;
    for (int32_t i = 0; i < graph->layer_count; i++)
        n += layer_parameters(&graph->layers[i]);
    return n;
}

int sl_graph_print(const struct sl_graph *graph, FILE *to)
{
    fprintf(to, "%-20s %-14s %-18s %12s\n", "layer", "type", "output", "parameters");
    for (int32_t i = 0; i < graph->layer_count; i++) {
        const struct sl_layer *layer = &graph->layers[i];
        char shape[48];
        snprintf(shape, sizeof shape, "%d x %d x %d", layer->shape.h, layer->shape.w, layer->shape.c);
        fprintf(to, "%-20s %-14s %-18s %12llu\n", layer->name, layer->type ? layer->type->name : "input", shape,
                (unsigned long long)layer_parameters(layer));
    }
    fprintf(to, "%-20s %-14s %-18s %12llu\n", "total", "", "", (unsigned long long)sl_graph_parameters(graph));
    return ferror(to) ? sl_fail(SL_IO, "cannot write the network's table") : SL_OK;
}
