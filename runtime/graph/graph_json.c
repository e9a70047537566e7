/* Networks as JSON. Everything that is read is checked against the layers' option tables; nothing unknown passes. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/base/json.h"
#include "runtime/graph/graph_json.h"
#include "runtime/graph/option_table.h"

static int read_ints(const json_t *value, const char *name, int32_t *to, size_t count)
{
    if (!json_is_array(value) || json_array_size(value) != count)
        return sl_fail(SL_BAD_CONFIG, "\"%s\" must be a list of %zu integers", name, count);
    for (size_t i = 0; i < count; i++) {
        const int rc = sl_json_int(json_array_get(value, i), name, &to[i]);
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

static int read_padding(const json_t *value, const char *name, struct sl_padding *to)
{
    const char *word = json_string_value(value);
    if (word && !strcmp(word, "same"))
        to->mode = SL_PADDING_SAME;
    else if (word && !strcmp(word, "valid"))
        to->mode = SL_PADDING_VALID;
    else if (word)
        return sl_fail(SL_BAD_CONFIG, "\"%s\" must be \"same\", \"valid\" or [top, left, bottom, right]", name);
    else {
        int32_t sides[4];
        const int rc = read_ints(value, name, sides, 4);
        if (rc != SL_OK)
            return rc;
        *to = (struct sl_padding){SL_PADDING_EXPLICIT, sides[0], sides[1], sides[2], sides[3]};
    }
    return SL_OK;
}

/* JSON says what it means: a zero must not turn into the preset that zero stands for in code. */
static int refuse_zero(const struct sl_option *option, double value)
{
    if (value == 0.0 && option->preset != 0.0)
        return sl_fail(SL_BAD_CONFIG, "\"%s\" must not be 0; leave it out for the default, %g", option->name,
                       option->preset);
    return SL_OK;
}

static int read_option(const struct sl_option *option, const json_t *value, void *at)
{
    int rc = SL_OK;
    switch (option->kind) {
    case SL_OPTION_INT:
        SL_TRY(sl_json_int(value, option->name, at));
        SL_TRY(refuse_zero(option, *(int32_t *)at));
        break;
    case SL_OPTION_PAIR: {
        int32_t *pair = at;
        if (json_is_integer(value)) {
            SL_TRY(sl_json_int(value, option->name, &pair[0]));
            pair[1] = pair[0];
        } else {
            SL_TRY(read_ints(value, option->name, pair, 2));
        }
        SL_TRY(refuse_zero(option, pair[0]));
        SL_TRY(refuse_zero(option, pair[1]));
        break;
    }
    case SL_OPTION_REAL:
        if (!json_is_number(value))
            SL_FAIL(SL_BAD_CONFIG, "\"%s\" must be a number", option->name);
        *(double *)at = json_number_value(value);
        SL_TRY(refuse_zero(option, *(double *)at));
        break;
    case SL_OPTION_BOOL:
        if (!json_is_boolean(value))
            SL_FAIL(SL_BAD_CONFIG, "\"%s\" must be true or false", option->name);
        *(bool *)at = json_is_true(value);
        break;
    case SL_OPTION_PADDING:
        SL_TRY(read_padding(value, option->name, at));
        break;
    }
out:
    return rc;
}

/* The values a layer reads: those named by "inputs", else the layer before. */
static int read_inputs(const struct sl_graph *graph, const json_t *list, int32_t *inputs, int32_t *count)
{
    *count = 1;
    inputs[0] = graph->layer_count - 1;
    if (!list)
        return SL_OK;
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n < 1 || n > SL_MAX_INPUTS)
        return sl_fail(SL_BAD_CONFIG, "\"inputs\" must be a list of 1 to %d layer names", SL_MAX_INPUTS);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || (inputs[i] = sl_graph_find(graph, name)) < 0)
            return sl_fail(SL_BAD_CONFIG, "\"inputs\" names \"%s\", which is no earlier layer", name ? name : "?");
    }
    *count = (int32_t)n;
    return SL_OK;
}

static bool is_option(const void *type, const char *key)
{
    return sl_option_find(type, key) != NULL;
}

static int read_layer(struct sl_graph *graph, const json_t *object)
{
    static const char *const known[] = {"name", "type", "inputs", NULL};
    int rc = SL_OK;
    int32_t inputs[SL_MAX_INPUTS], count;
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *type_name = json_string_value(json_object_get(object, "type"));
    void *options = NULL;
    if (!name || !type_name)
        SL_FAIL(SL_BAD_CONFIG, "a layer must be an object with the strings \"name\" and \"type\"");
    const struct sl_layer_type *type = sl_layer_type_find(type_name);
    if (!type)
        SL_FAIL(SL_BAD_CONFIG, "there is no layer type \"%s\"", type_name);
    if (!(options = calloc(1, type->options_size)))
        SL_FAIL(SL_SYSTEM, "out of memory for options");
    SL_TRY(sl_json_check_keys(object, known, is_option, type));
    for (size_t i = 0; i < type->option_count; i++) {
        const json_t *value = json_object_get(object, type->options[i].name);
        if (value)
            SL_TRY(read_option(&type->options[i], value, (char *)options + type->options[i].offset));
    }
    SL_TRY(read_inputs(graph, json_object_get(object, "inputs"), inputs, &count));
    if (sl_graph_add_many(graph, name, inputs, count, type_name, options) < 0)
        rc = sl_graph_check(graph);
out:
    free(options);
    return rc;
}

static int read_input(struct sl_graph *graph, const json_t *object)
{
    static const char *const known[] = {"height", "width", "channels", NULL};
    int32_t side[3];
    int rc = SL_OK;
    if (!json_is_object(object))
        SL_FAIL(SL_BAD_CONFIG, "\"input\" must be an object with height, width and channels");
    SL_TRY(sl_json_check_keys(object, known, NULL, NULL));
    for (int i = 0; i < 3; i++)
        SL_TRY(sl_json_int(json_object_get(object, known[i]), known[i], &side[i]));
    if (sl_graph_input(graph, side[0], side[1], side[2]) < 0)
        rc = sl_graph_check(graph);
out:
    return rc;
}

int sl_graph_read(const json_t *root, struct sl_graph **graph)
{
    static const char *const known[] = {"name", "input", "layers", NULL};
    int rc = SL_OK;
    struct sl_graph *g = NULL;
    const char *name = json_string_value(json_object_get(root, "name"));
    const json_t *layers = json_object_get(root, "layers");
    if (!json_is_object(root) || !name || !json_is_array(layers))
        SL_FAIL(SL_BAD_CONFIG, "a network must be an object with \"name\", \"input\" and the list \"layers\"");
    SL_TRY(sl_json_check_keys(root, known, NULL, NULL));
    SL_TRY(sl_graph_new(name, &g));
    SL_TRY(read_input(g, json_object_get(root, "input")));
    for (size_t i = 0; i < json_array_size(layers); i++)
        if ((rc = read_layer(g, json_array_get(layers, i))) != SL_OK) {
            sl_fail_prefix(rc, "layers[%zu]", i);
            goto out;
        }
    SL_TRY(sl_graph_check(g));
    *graph = g;
    g = NULL;
out:
    sl_graph_free(g);
    return rc;
}

int sl_graph_from_json(const char *text, size_t length, struct sl_graph **graph)
{
    json_t *root = NULL;
    int rc = SL_OK;
    SL_TRY(sl_json_parse(text, length, &root));
    SL_TRY(sl_graph_read(root, graph));
out:
    json_decref(root);
    return rc;
}

int sl_graph_from_file(const char *path, struct sl_graph **graph)
{
    int rc = SL_OK;
    uint8_t *text = NULL;
    size_t length;
    SL_TRY(sl_io_read(path, SL_JSON_MAX_BYTES, &text, &length));
    if ((rc = sl_graph_from_json((const char *)text, length, graph)) != SL_OK)
        sl_fail_prefix(rc, "%s", path);
out:
    free(text);
    return rc;
}

static json_t *write_padding(const struct sl_padding *p)
{
    if (p->mode == SL_PADDING_EXPLICIT)
        return json_pack("[i,i,i,i]", p->top, p->left, p->bottom, p->right);
    return json_string(p->mode == SL_PADDING_SAME ? "same" : "valid");
}

static json_t *write_option(const struct sl_option *option, const void *at)
{
    const int32_t *numbers = at;
    switch (option->kind) {
    case SL_OPTION_INT:
        return json_integer(numbers[0]);
    case SL_OPTION_PAIR:
        return json_pack("[i,i]", numbers[0], numbers[1]);
    case SL_OPTION_REAL:
        return json_real(*(const double *)at);
    case SL_OPTION_BOOL:
        return json_boolean(*(const bool *)at);
    case SL_OPTION_PADDING:
        return write_padding(at);
    }
    return NULL;
}

static json_t *write_layer(const struct sl_graph *graph, const struct sl_layer *layer)
{
    json_t *inputs = json_array();
    for (int32_t k = 0; k < layer->input_count; k++)
        sl_json_append(&inputs, json_string(graph->layers[layer->inputs[k]].name));
    json_t *object = json_pack("{s:s, s:s, s:o}", "name", layer->name, "type", layer->type->name, "inputs", inputs);
    for (size_t i = 0; i < layer->type->option_count; i++) {
        const struct sl_option *option = &layer->type->options[i];
        sl_json_set(&object, option->name, write_option(option, (char *)layer->options + option->offset));
    }
    return object;
}

json_t *sl_graph_write(const struct sl_graph *graph)
{
    const struct sl_tensor *in = &graph->layers[0].shape;
    json_t *layers = json_array();
    for (int32_t i = 1; i < graph->layer_count; i++)
        sl_json_append(&layers, write_layer(graph, &graph->layers[i]));
    return json_pack("{s:s, s:{s:i, s:i, s:i}, s:o}", "name", graph->name, "input", "height", in->h, "width", in->w,
                     "channels", in->c, "layers", layers);
}

int sl_graph_to_json(const struct sl_graph *graph, char **text)
{
    return sl_json_text(sl_graph_write(graph), text);
}
