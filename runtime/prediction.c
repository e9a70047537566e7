#include "runtime/prediction.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/json_internal.h"
#include "runtime/utf8.h"

void sl_top_classes(const float *p, int32_t classes, int32_t count, int32_t *top)
{
    for (int32_t n = 0; n < count; n++) {
        int32_t best = -1;
        for (int32_t c = 0; c < classes; c++) {
            bool taken = false;
            for (int32_t k = 0; k < n && !taken; k++)
                taken = top[k] == c;
            if (!taken && (best < 0 || p[c] > p[best]))
                best = c;
        }
        top[n] = best;
    }
}

static int written(const struct sl_prediction_writer *writer)
{
    return ferror(writer->to) ? sl_fail(SL_IO, "cannot write predictions: %s", strerror(errno)) : SL_OK;
}

int sl_prediction_begin(const struct sl_prediction_writer *writer)
{
    if (writer->json)
        return SL_OK;
    fputs("key", writer->to);
    for (int32_t n = 1; n <= writer->top; n++)
        fprintf(writer->to, "\tclass%d\tprobability%d", n, n);
    fputc('\n', writer->to);
    return written(writer);
}

static void write_escaped(FILE *to, const char *text)
{
    for (; *text; text++) {
        const char *escape = *text == '\t'   ? "\\t"
                             : *text == '\n' ? "\\n"
                             : *text == '\r' ? "\\r"
                             : *text == '\\' ? "\\\\"
                                             : NULL;
        if (escape)
            fputs(escape, to);
        else
            fputc(*text, to);
    }
}

static void write_row(const struct sl_prediction_writer *writer, const char *key, const float *p, const int32_t *top)
{
    write_escaped(writer->to, key);
    for (int32_t n = 0; n < writer->top; n++)
        fprintf(writer->to, "\t%s\t%.6f", writer->model->classes[top[n]].id, (double)p[top[n]]);
    fputc('\n', writer->to);
}

static int write_object(const struct sl_prediction_writer *writer, const char *key, const float *p, const int32_t *top)
{
    if (!sl_utf8_valid(key))
        return sl_fail(SL_BAD_DATA, "the name %s is not UTF-8, which JSON needs; use the table", key);
    json_t *list = json_array();
    for (int32_t n = 0; n < writer->top; n++) {
        const struct sl_class *c = &writer->model->classes[top[n]];
        sl_json_append(
            &list, json_pack("{s:s, s:s, s:f}", "class", c->id, "words", c->words, "probability", (double)p[top[n]]));
    }
    json_t *object = json_pack("{s:s, s:o}", "key", key, "top", list);
    char *text = sl_json_dump(object, JSON_COMPACT | JSON_REAL_PRECISION(7));
    json_decref(object);
    if (!text)
        return sl_fail(SL_SYSTEM, "out of memory for the prediction of %s", key);
    fprintf(writer->to, "%s\n", text);
    free(text);
    return SL_OK;
}

int sl_prediction_write(const struct sl_prediction_writer *writer, const char *key, const float *p)
{
    int rc = SL_OK;
    int32_t *top = malloc((size_t)writer->top * sizeof *top);
    if (!top)
        SL_FAIL(SL_SYSTEM, "out of memory for a prediction");
    sl_top_classes(p, (int32_t)writer->model->class_count, writer->top, top);
    if (writer->json)
        SL_TRY(write_object(writer, key, p, top));
    else
        write_row(writer, key, p, top);
    SL_TRY(written(writer));
out:
    free(top);
    return rc;
}
