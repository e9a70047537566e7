#include "runtime/store/model_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/graph/graph_json.h"

int sl_model_to_json(const struct sl_model *model, char **text)
{
    json_t *classes = json_array();
    for (size_t i = 0; i < model->class_count; i++)
        sl_json_append(&classes, json_pack("{s:s, s:s}", "id", model->classes[i].id, "words", model->classes[i].words));
    const double *m = model->pixels.mean, *d = model->pixels.deviation;
    /* A model of images as stored has no "orientation", and one of images decoded exactly no "decode" (s* leaves them
     * out): the text of older models. */
    return sl_json_text(json_pack("{s:i, s:o, s:o, s:{s:s, s:s*, s:s*, s:[f,f,f], s:[f,f,f]}}", "format", 1, "network",
                                  sl_graph_write(model->graph), "classes", classes, "pixels", "range",
                                  model->pixels.range == SL_PIXELS_STANDARDISED ? "standardised" : "unit",
                                  "orientation", model->pixels.apply_orientation ? "apply" : NULL, "decode",
                                  model->pixels.fast_decode ? "fast" : NULL, "mean", m[0], m[1], m[2], "deviation",
                                  d[0], d[1], d[2]),
                        text);
}

static int read_triple(const json_t *list, const char *name, double minimum, double to[3])
{
    for (size_t i = 0; i < 3; i++) {
        const json_t *value = json_array_get(list, i);
        if (json_array_size(list) != 3 || !json_is_number(value))
            return sl_fail(SL_BAD_CONFIG, "\"%s\" must be a list of 3 numbers", name);
        to[i] = json_number_value(value);
        if (!(to[i] >= minimum && to[i] <= 1.0))
            return sl_fail(SL_BAD_CONFIG, "\"%s\" holds %g; it must be %g to 1", name, to[i], minimum);
    }
    return SL_OK;
}

/* Is it the first of the two? Not without the key. */
static int read_choice(const json_t *object, const char *key, const char *first, const char *second, bool *is_first)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    if (value && (!text || (strcmp(text, first) && strcmp(text, second))))
        return sl_fail(SL_BAD_CONFIG, "\"%s\" must be \"%s\" or \"%s\"", key, first, second);
    *is_first = text && !strcmp(text, first);
    return SL_OK;
}

static int read_pixels(const json_t *object, struct sl_model *model)
{
    static const char *const known[] = {"range", "orientation", "decode", "mean", "deviation", NULL};
    int rc = SL_OK;
    const char *range = json_string_value(json_object_get(object, "range"));
    if (!json_is_object(object) || !range || (strcmp(range, "unit") && strcmp(range, "standardised")))
        SL_FAIL(SL_BAD_CONFIG, "\"pixels\" needs a \"range\", \"unit\" or \"standardised\"");
    SL_TRY(sl_json_check_keys(object, known, NULL, NULL));
    SL_TRY(read_choice(object, "orientation", "apply", "ignore", &model->pixels.apply_orientation));
    SL_TRY(read_choice(object, "decode", "fast", "exact", &model->pixels.fast_decode));
    model->pixels.range = strcmp(range, "unit") ? SL_PIXELS_STANDARDISED : SL_PIXELS_UNIT;
    SL_TRY(read_triple(json_object_get(object, "mean"), "mean", 0.0, model->pixels.mean));
    SL_TRY(read_triple(json_object_get(object, "deviation"), "deviation",
                       model->pixels.range == SL_PIXELS_UNIT ? 0.0 : 1e-6, model->pixels.deviation));
out:
    return rc;
}

static int read_class(const json_t *entry, size_t i, struct sl_class *to)
{
    static const char *const known[] = {"id", "words", NULL};
    const char *id = json_string_value(json_object_get(entry, "id"));
    const char *words = json_string_value(json_object_get(entry, "words"));
    if (!id || !words)
        return sl_fail(SL_BAD_CONFIG, "classes[%zu] needs the strings \"id\" and \"words\"", i);
    *to = (struct sl_class){strdup(id), strdup(words)};
    if (!to->id || !to->words)
        return sl_fail(SL_SYSTEM, "out of memory for a class");
    return sl_json_check_keys(entry, known, NULL, NULL);
}

static int read_classes(const json_t *list, struct sl_model *model)
{
    int rc = SL_OK;
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n != (size_t)sl_graph_classes(model->graph))
        return sl_fail(SL_BAD_CONFIG, "\"classes\" lists %zu classes and the network has %d", n,
                       sl_graph_classes(model->graph));
    if (!(model->classes = calloc(n, sizeof *model->classes)))
        return sl_fail(SL_SYSTEM, "out of memory for %zu classes", n);
    model->class_count = n;
    for (size_t i = 0; i < n; i++)
        SL_TRY(read_class(json_array_get(list, i), i, &model->classes[i]));
out:
    return rc;
}

int sl_model_from_json(const char *text, size_t length, struct sl_model *model)
{
    static const char *const known[] = {"format", "network", "classes", "pixels", NULL};
    int rc = SL_OK;
    json_t *root = NULL;
    int32_t format;
    *model = (struct sl_model){0};
    SL_TRY(sl_json_parse(text, length, &root));
    SL_TRY(sl_json_check_keys(root, known, NULL, NULL));
    SL_TRY(sl_json_int(json_object_get(root, "format"), "format", &format));
    if (format != 1)
        SL_FAIL(SL_BAD_CONFIG, "format %d of the description is newer than this program knows (1)", format);
    SL_TRY(sl_graph_read(json_object_get(root, "network"), &model->graph));
    SL_TRY(read_classes(json_object_get(root, "classes"), model));
    SL_TRY(read_pixels(json_object_get(root, "pixels"), model));
out:
    json_decref(root);
    if (rc != SL_OK)
        sl_model_close(model);
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
