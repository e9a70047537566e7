/* Metrics for people and for spreadsheets. */
#include "runtime/report/metrics_report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "runtime/report/text.h"
#include "runtime/base/utf8.h"

enum { NAME_WIDTH = 28, NUMBER_LENGTH = 16 };

static const char *class_name(const char *const *names, int32_t c, char buffer[NUMBER_LENGTH])
{
    if (names && names[c])
        return names[c];
    snprintf(buffer, NUMBER_LENGTH, "%" PRId32, c);
    return buffer;
}

static const char *value_text(double value, char buffer[NUMBER_LENGTH])
{
    if (isnan(value))
        strcpy(buffer, "-");
    else
        snprintf(buffer, NUMBER_LENGTH, "%.4f", value);
    return buffer;
}

static void print_value(FILE *to, const char *label, double value)
{
    char buffer[NUMBER_LENGTH];
    fprintf(to, "%-20s%s\n", label, isnan(value) ? "undefined" : value_text(value, buffer));
}

static void print_defined(FILE *to, const char *label, struct sl_average mean)
{
    char buffer[NUMBER_LENGTH];
    fprintf(to, "%-20s%s", label, isnan(mean.defined) ? "undefined" : value_text(mean.defined, buffer));
    if (mean.excluded)
        fprintf(to, "   (%" PRId32 " class%s excluded from average)", mean.excluded, mean.excluded == 1 ? "" : "es");
    fputc('\n', to);
}

static void print_summary(const struct sl_metrics *metrics, FILE *to)
{
    char label[48];
    const struct sl_average f1 = sl_metrics_f1(metrics);
    fprintf(to, "%-20s%" PRId32 "\n%-20s%" PRIu64 "\n", "# of classes", metrics->classes, "# of samples",
            metrics->samples);
    print_value(to, "Accuracy", sl_metrics_accuracy(metrics));
    if (metrics->top_n > 1) {
        snprintf(label, sizeof label, "Top %" PRId32 " accuracy", metrics->top_n);
        print_value(to, label, sl_metrics_top_n(metrics));
    }
    print_value(to, "Precision", sl_metrics_precision(metrics).usual);
    print_value(to, "Recall", sl_metrics_recall(metrics).usual);
    print_value(to, "F1 score", f1.usual);
    print_value(to, "MCC", sl_metrics_multiclass_mcc(metrics));
    print_value(to, "Mean loss", sl_metrics_mean_loss(metrics));
    fprintf(
        to,
        "Precision, recall and F1 are macro averages over the %" PRId32
        " class%s that occur or are predicted: each counts alike,\nand a value that is undefined (0/0) counts as 0. "
        "MCC is that of the whole matrix.\n",
        f1.present, f1.present == 1 ? "" : "es");
}

static void print_dl4j(const struct sl_metrics *metrics, FILE *to)
{
    fputs("\nDL4J's macro averages leave undefined values out, which flatters where classes are never predicted:\n",
          to);
    print_defined(to, "DL4J precision", sl_metrics_precision(metrics));
    print_defined(to, "DL4J recall", sl_metrics_recall(metrics));
    print_defined(to, "DL4J F1 score", sl_metrics_f1(metrics));
    print_defined(to, "DL4J MCC", sl_metrics_mcc(metrics));
    print_value(to, "DL4J G-measure", sl_metrics_g_measure(metrics));
}

/* At most two columns' worth of a name. */
static size_t columns_of(const char *name)
{
    size_t columns = 0;
    for (size_t n; *name && columns < 2 * NAME_WIDTH; name += n, columns++) {
        const size_t whole = sl_utf8_length(name);
        n = whole ? whole : 1;
    }
    return columns;
}

static void print_warnings(const struct sl_metrics *metrics, const char *const *names, FILE *to)
{
    int32_t never = 0, listed = 0;
    for (int32_t c = 0; c < metrics->classes; c++)
        never += sl_metrics_class(metrics, c).predicted == 0;
    if (!never || !metrics->samples)
        return;
    fprintf(to, "\nWarning: %" PRId32 " class%s never predicted", never, never == 1 ? " was" : "es were");
    for (int32_t c = 0; c < metrics->classes && never <= SL_METRICS_WARNED_CLASSES; c++) {
        char buffer[NUMBER_LENGTH];
        if (sl_metrics_class(metrics, c).predicted)
            continue;
        const char *name = class_name(names, c, buffer);
        fputs(listed++ ? ", " : ": ", to);
        sl_text_print_column(to, name, columns_of(name));
    }
    fputs("\n", to);
}

static void print_classes(const struct sl_metrics *metrics, const char *const *names, FILE *to)
{
    fprintf(to, "\n%6s  %-*s %8s %9s %8s %9s %8s %8s\n", "class", NAME_WIDTH, "name", "samples", "predicted", "correct",
            "precision", "recall", "F1");
    for (int32_t c = 0; c < metrics->classes; c++) {
        const struct sl_class_metrics class = sl_metrics_class(metrics, c);
        char buffer[NUMBER_LENGTH], precision[NUMBER_LENGTH], recall[NUMBER_LENGTH], f1[NUMBER_LENGTH];
        fprintf(to, "%6" PRId32 "  ", c);
        sl_text_print_column(to, class_name(names, c, buffer), NAME_WIDTH);
        fprintf(to, " %8" PRIu64 " %9" PRIu64 " %8" PRIu64 " %9s %8s %8s\n", class.actual, class.predicted,
                class.correct, value_text(class.precision, precision), value_text(class.recall, recall),
                value_text(class.f1, f1));
    }
}

static void print_matrix(const struct sl_metrics *metrics, FILE *to)
{
    const int32_t n = metrics->classes;
    if (n > SL_METRICS_MATRIX_CLASSES) {
        fprintf(to, "\nThe confusion matrix is not printed for more than %d classes; write it to a file instead.\n",
                SL_METRICS_MATRIX_CLASSES);
        return;
    }
    uint64_t largest = 0;
    for (int32_t i = 0; i < n * n; i++)
        largest = metrics->confusion[i] > largest ? metrics->confusion[i] : largest;
    const int width = snprintf(NULL, 0, "%" PRIu64, largest) + 1, cell = width < 4 ? 4 : width;
    fputs("\nConfusion matrix (rows: actual class, columns: predicted)\n      ", to);
    for (int32_t c = 0; c < n; c++)
        fprintf(to, "%*" PRId32, cell, c);
    for (int32_t r = 0; r < n; r++) {
        fprintf(to, "\n%6" PRId32, r);
        for (int32_t c = 0; c < n; c++)
            fprintf(to, "%*" PRIu64, cell, metrics->confusion[r * n + c]);
    }
    fputc('\n', to);
}

void sl_metrics_print(const struct sl_metrics *metrics, const char *const *names, FILE *to)
{
    print_summary(metrics, to);
    print_dl4j(metrics, to);
    print_warnings(metrics, names, to);
    print_classes(metrics, names, to);
    print_matrix(metrics, to);
}

static void csv_field(FILE *to, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, to);
        return;
    }
    fputc('"', to);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', to);
        fputc(*text, to);
    }
    fputc('"', to);
}

void sl_metrics_print_confusion(const struct sl_metrics *metrics, const char *const *names, FILE *to)
{
    char buffer[NUMBER_LENGTH];
    fputs("actual\\predicted", to);
    for (int32_t c = 0; c < metrics->classes; c++) {
        fputc(',', to);
        csv_field(to, class_name(names, c, buffer));
    }
    for (int32_t r = 0; r < metrics->classes; r++) {
        fputc('\n', to);
        csv_field(to, class_name(names, r, buffer));
        for (int32_t c = 0; c < metrics->classes; c++)
            fprintf(to, ",%" PRIu64, metrics->confusion[(size_t)r * (size_t)metrics->classes + (size_t)c]);
    }
    fputc('\n', to);
}
