/* Metrics as one line of JSON. */
#include "runtime/report/metrics_json.h"

#include <inttypes.h>
#include <math.h>

#include "runtime/report/text.h"

/* "name":value, with `before` in front; what is not finite is null. */
static void number(FILE *to, const char *before, const char *name, double value)
{
    fprintf(to, "%s\"%s\":", before, name);
    if (isfinite(value))
        fprintf(to, "%.9g", value);
    else
        fputs("null", to);
}

static void count(FILE *to, const char *before, const char *name, uint64_t value)
{
    fprintf(to, "%s\"%s\":%" PRIu64, before, name, value);
}

static void print_totals(const struct sl_metrics *metrics, FILE *to)
{
    uint64_t never = 0;
    for (int32_t c = 0; c < metrics->classes; c++)
        never += sl_metrics_class(metrics, c).predicted == 0;
    count(to, "{", "classes", (uint64_t)metrics->classes);
    count(to, ",", "samples", metrics->samples);
    number(to, ",", "accuracy", sl_metrics_accuracy(metrics));
    count(to, ",\"top_n\":{", "n", (uint64_t)metrics->top_n);
    number(to, ",", "accuracy", sl_metrics_top_n(metrics));
    number(to, "},", "precision", sl_metrics_precision(metrics).usual);
    number(to, ",", "recall", sl_metrics_recall(metrics).usual);
    number(to, ",", "f1", sl_metrics_f1(metrics).usual);
    number(to, ",", "mcc", sl_metrics_multiclass_mcc(metrics));
    number(to, ",", "mean_loss", sl_metrics_mean_loss(metrics));
    count(to, ",", "present_classes", (uint64_t)sl_metrics_f1(metrics).present);
    count(to, ",", "never_predicted", never);
}

static void print_dl4j(const struct sl_metrics *metrics, FILE *to)
{
    const struct {
        const char *name;
        struct sl_average mean;
    } averages[] = {{"precision", sl_metrics_precision(metrics)},
                    {"recall", sl_metrics_recall(metrics)},
                    {"f1", sl_metrics_f1(metrics)},
                    {"mcc", sl_metrics_mcc(metrics)}};
    fputs(",\"dl4j\":{", to);
    for (size_t i = 0; i < sizeof averages / sizeof *averages; i++) {
        fprintf(to, "\"%s\":", averages[i].name);
        number(to, "{", "value", averages[i].mean.defined);
        count(to, ",", "excluded", (uint64_t)averages[i].mean.excluded);
        fputs("},", to);
    }
    number(to, "", "g_measure", sl_metrics_g_measure(metrics));
    fputc('}', to);
}

static void print_class(const struct sl_metrics *metrics, const char *const *names, int32_t c, FILE *to)
{
    const struct sl_class_metrics class = sl_metrics_class(metrics, c);
    char index[16];
    snprintf(index, sizeof index, "%" PRId32, c);
    fputs(c ? ",{\"class\":" : "{\"class\":", to);
    sl_text_print_json(to, names ? names[c] : index);
    count(to, ",", "samples", class.actual);
    count(to, ",", "predicted", class.predicted);
    count(to, ",", "correct", class.correct);
    number(to, ",", "precision", class.precision);
    number(to, ",", "recall", class.recall);
    number(to, ",", "f1", class.f1);
    fputc('}', to);
}

static void print_matrix(const struct sl_metrics *metrics, FILE *to)
{
    const int32_t n = metrics->classes;
    for (int32_t r = 0; r < n; r++) {
        fputs(r ? ",[" : ",\"confusion\":[[", to);
        for (int32_t c = 0; c < n; c++)
            fprintf(to, "%s%" PRIu64, c ? "," : "", metrics->confusion[r * n + c]);
        fputc(']', to);
    }
    fputc(']', to);
}

void sl_metrics_print_json(const struct sl_metrics *metrics, const char *const *names, FILE *to)
{
    print_totals(metrics, to);
    print_dl4j(metrics, to);
    fputs(",\"per_class\":[", to);
    for (int32_t c = 0; c < metrics->classes; c++)
        print_class(metrics, names, c, to);
    fputc(']', to);
    if (metrics->classes <= SL_METRICS_MATRIX_CLASSES)
        print_matrix(metrics, to);
    fputs("}\n", to);
}
