#include "runtime/report/profile_report.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/report/text.h"

enum { LAYER_WIDTH = 18, OPERATION_WIDTH = 24, ROW_WIDTH = 18 };

static bool is_convolution(enum sl_op op)
{
    return op == SL_OP_conv2d_fwd || op == SL_OP_conv2d_pool_fwd || op == SL_OP_conv2d_bwd_data ||
           op == SL_OP_conv2d_bwd_weights;
}

static void print_line(const struct sl_profile_totals *totals, const char *const columns[3], double seconds, FILE *to)
{
    sl_text_print_column(to, columns[0], LAYER_WIDTH);
    fputc(' ', to);
    sl_text_print_column(to, columns[1], OPERATION_WIDTH);
    fputc(' ', to);
    sl_text_print_column(to, columns[2], ROW_WIDTH);
    fprintf(to, " %10.3f %7.2f\n", seconds / (double)totals->steps * 1e3, seconds / totals->seconds * 100);
}

static void print_row(const struct sl_profile_totals *totals, const struct sl_profile_row *row, FILE *to)
{
    char operation[64];
    snprintf(operation, sizeof operation, "%s%s", sl_op_name(row->kernel->op), row->pack ? " pack" : "");
    print_line(totals, (const char *[]){*row->layer ? row->layer : "-", operation, row->kernel->name}, row->seconds,
               to);
}

void sl_profile_print(const struct sl_profile *profile, FILE *to)
{
    const struct sl_profile_row *rows;
    const struct sl_profile_totals totals = sl_profile_total(profile);
    const size_t count = sl_profile_rows(profile, &rows);
    double convolutions = 0.0;
    if (!totals.steps || !(totals.seconds > 0))
        return;
    fprintf(to, "profile: %" PRIu64 " steps of %.3f ms\n%-*s %-*s %-*s %10s %7s\n", totals.steps,
            totals.seconds / (double)totals.steps * 1e3, LAYER_WIDTH, "layer", OPERATION_WIDTH, "operation", ROW_WIDTH,
            "row", "ms", "%");
    for (size_t i = 0; i < count; i++) {
        print_row(&totals, &rows[i], to);
        convolutions += is_convolution(rows[i].kernel->op) ? rows[i].seconds : 0.0;
    }
    const struct {
        const char *name;
        double seconds;
    } sums[] = {
        {"convolutions", convolutions},
        {"other kernels", totals.kernels - convolutions},
        {"waiting for data", totals.waited},
        {"everything else", totals.seconds - totals.kernels - totals.waited},
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        print_line(&totals, (const char *[]){"sum", sums[i].name, ""}, sums[i].seconds, to);
}
