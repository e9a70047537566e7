/* A plan in words. */
#include <string.h>

#include "runtime/plan/plan_internal.h"
#include "runtime/plan/precision.h"

static bool is_only_row(const struct sl_device *device, enum sl_op op)
{
    int count = 0;
    for (size_t i = 0; i < device->row_count; i++)
        count += device->rows[i].op == op;
    return count == 1;
}

/* "          conv2d_fwd winograd_avx512, bias_bwd sum_avx512": the layer's rows of operations that have several. */
static void print_rows(const struct sl_plan *plan, const char *layer, FILE *to)
{
    int count = 0;
    for (size_t i = 0; i < plan->choice_count; i++) {
        const struct sl_choice *choice = plan->choices[i].choice;
        if (strcmp(plan->choices[i].layer, layer) || is_only_row(plan->device, choice->op))
            continue;
        fprintf(to, "%s%s %s", count++ ? ", " : "          ", sl_op_name(choice->op), sl_choice_row(choice)->name);
        if (choice->reason != SL_REASON_FIRST)
            fprintf(to, " (%s)", choice->why);
    }
    if (count)
        fputc('\n', to);
}

/* The name of the layer whose stage reads this value, which has one reader. */
static const char *reader_of(const struct sl_plan *plan, const struct sl_value *value)
{
    for (int32_t s = 0; s < plan->stage_count; s++)
        if (plan->stages[s].x[0] == value)
            return plan->stages[s].layer->name;
    return "";
}

static void print_stage(const struct sl_plan *plan, const struct sl_stage *stage, FILE *to)
{
    const struct sl_tensor *y = &stage->y->shape;
    fprintf(to, "stage %-3d %s", stage->index, stage->layer->name);
    for (int32_t a = 0; a < stage->absorbed_count; a++)
        fprintf(to, " + %s", stage->absorbed[a]->name);
    if (stage->absorbed_count)
        fputs(" in one pass", to);
    if (stage->y->moment_parts)
        fprintf(to, " [sums for %s]", reader_of(plan, stage->y));
    fprintf(to, " -> %d x %d x %d x %d\n", y->n, y->h, y->w, y->c);
    print_rows(plan, stage->layer->name, to);
}

int sl_plan_print(const struct sl_plan *plan, FILE *to)
{
    for (int32_t s = 0; s < plan->stage_count; s++)
        print_stage(plan, &plan->stages[s], to);
    fprintf(to, "precision %s\n", sl_precision_name(plan->options.precision));
    fprintf(to, "arena %.1f MB%s\n", (double)plan->arena_bytes / 1e6, plan->shares ? ", within the other plan's" : "");
    return ferror(to) ? sl_fail(SL_IO, "cannot write the plan") : SL_OK;
}
