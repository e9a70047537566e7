#include "runtime/report/prediction.h"

#include <assert.h>
#include <stdlib.h>

#include "runtime/report/text.h"
#include "runtime/base/utf8.h"
#include "runtime/train/top_classes.h"

void sl_prediction_begin(const struct sl_prediction_writer *writer)
{
    if (writer->json)
        return;
    fputs("key", writer->to);
    for (int32_t n = 1; n <= writer->top; n++)
        fprintf(writer->to, "\tclass%d\twords%d\tprobability%d", n, n, n);
    fputc('\n', writer->to);
}

static void write_row(const struct sl_prediction_writer *writer, const char *key, const float *p, const int32_t *top)
{
    sl_text_print(writer->to, key);
    for (int32_t n = 0; n < writer->top; n++) {
        const struct sl_class *c = &writer->model->classes[top[n]];
        fputc('\t', writer->to);
        sl_text_print(writer->to, c->id);
        fputc('\t', writer->to);
        sl_text_print(writer->to, c->words);
        fprintf(writer->to, "\t%.6f", (double)p[top[n]]);
    }
    fputc('\n', writer->to);
}

static void write_object(const struct sl_prediction_writer *writer, const char *key, const float *p, const int32_t *top)
{
    FILE *to = writer->to;
    fputs("{\"key\":", to);
    sl_text_print_json(to, key);
    if (!sl_utf8_valid(key)) {
        fputs(",\"key_bytes\":\"", to);
        for (const char *at = key; *at; at++)
            fprintf(to, "%02x", (unsigned)(unsigned char)*at);
        fputc('"', to);
    }
    fputs(",\"top\":[", to);
    for (int32_t n = 0; n < writer->top; n++) {
        const struct sl_class *c = &writer->model->classes[top[n]];
        fputs(n ? ",{\"class\":" : "{\"class\":", to);
        sl_text_print_json(to, c->id);
        fputs(",\"words\":", to);
        sl_text_print_json(to, c->words);
        fprintf(to, ",\"probability\":%.7g}", (double)p[top[n]]);
    }
    fputs("]}\n", to);
}

int sl_prediction_write(const struct sl_prediction_writer *writer, const char *key, const float *p)
{
    int rc = SL_OK;
    const int32_t classes = (int32_t)writer->model->class_count;
    assert(0 < writer->top && writer->top <= classes);
    int32_t *top = malloc((size_t)writer->top * sizeof *top);
    if (!top)
        SL_FAIL(SL_SYSTEM, "out of memory for a prediction");
    SL_TRY(sl_top_classes_check(p, classes, key));
    sl_top_classes(p, classes, writer->top, top);
    if (writer->json)
        write_object(writer, key, p, top);
    else
        write_row(writer, key, p, top);
out:
    free(top);
    return rc;
}
