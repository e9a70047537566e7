/* What the plans of the default network choose. */
#include "apps/doctor_parts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli_process.h"
#include "models/models.h"
#include "runtime/device/parallel.h"
#include "runtime/plan/choose.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/precision.h"
#include "runtime/plan/row_cache.h"
#include "runtime/train/updater.h"

enum { BATCH = 32, IMAGE_SIZE = 64, CLASSES = 200, REASON_LENGTH = 512, MAX_CHOICES = 256 };

/* The default network, planned and not run. */
struct network {
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_selection rows;
    struct sl_plan *training, *inference;
    struct sl_updater *updater;
};

static void network_close(struct network *network)
{
    sl_updater_close(network->updater);
    sl_plan_close(network->inference);
    sl_plan_close(network->training);
    sl_selection_close(&network->rows);
    sl_weights_close(network->weights);
    sl_graph_free(network->graph);
    if (network->device.close)
        network->device.close(network->device.self);
}

static int choose_rows(struct network *network, const char *policy, enum sl_element precision)
{
    const struct sl_choose_options options = {.policy = sl_policy_find(policy),
                                              .graph = network->graph,
                                              .batch = BATCH,
                                              .training = true,
                                              .precision = precision,
                                              .say = cli_say};
    return sl_choose_rows(&options, SL_OK, &network->device, &network->rows);
}

static int network_open(const char *policy, enum sl_element precision, struct network *network)
{
    int rc = SL_OK;
    const struct sl_model_options model = {IMAGE_SIZE, CLASSES};
    const struct sl_updater_options updater = sl_updater_defaults();
    struct sl_plan_options plan = {
        .batch = BATCH, .training = true, .precision = precision, .dry = true, .rows = &network->rows};
    *network = (struct network){0};
    SL_TRY(sl_device_cpu_open(0, &network->device));
    SL_TRY(sl_model_build("darknet", &model, &network->graph));
    SL_TRY(choose_rows(network, policy, precision));
    SL_TRY(sl_weights_open(network->graph, &network->device, true, &network->weights));
    SL_TRY(sl_plan_open(network->graph, network->weights, &plan, &network->training));
    plan.training = false;
    SL_TRY(sl_plan_open(network->graph, network->weights, &plan, &network->inference));
    SL_TRY(sl_updater_open(network->weights, &updater, &network->updater));
out:
    return rc;
}

/* Why a row that could be taken was not. */
static const char *reason_against(const struct sl_choice *choice, const struct sl_kernel_row *row)
{
    if (choice->reason == SL_REASON_FORCED)
        return "SL_KERNEL asks for another";
    if (choice->among == SL_AMONG_EXACT && row->kernel->inexact)
        return "not exact";
    return "slower";
}

/* The reason, if it is not the table's order, and why the rows before the chosen one were not taken: " (why); not NAME
 * (why), ...". */
static void explain(const struct sl_choice *choice, char text[REASON_LENGTH])
{
    const bool first = choice->reason == SL_REASON_FIRST;
    int at = 0, count = 0;
    struct sl_need need;
    text[0] = '\0';
    if (!first)
        at = snprintf(text, REASON_LENGTH, " (%s)", choice->why);
    for (const struct sl_kernel_row *row = choice->device->rows; row < sl_choice_row(choice); row++) {
        if (row->op != choice->op || row->kernel->element != sl_choice_row(choice)->kernel->element ||
            at >= REASON_LENGTH - 1)
            continue;
        const uint32_t absent = row->needs & ~sl_isa_detect(), held = row->needs & ~choice->device->isa;
        const bool takes = !held && sl_row_takes(row, row->op, choice->ready[0].shape, row->needs, &need);
        at += snprintf(text + at, (size_t)(REASON_LENGTH - at), "%s %s (%s%s%s)", count++ ? "," : "; not", row->name,
                       held ? "needs " : "", held ? sl_isa_text(held) : "",
                       absent   ? ": not on this CPU"
                       : held   ? ": held down by SL_ISA"
                       : !takes ? "does not take this shape"
                                : reason_against(choice, row));
    }
}

/* One line for each run of layers that get the same answer. */
struct line {
    const char *first, *last;
    const struct sl_kernel_row *row;
    char reason[REASON_LENGTH];
};

static void add_choice(const char *layer, const struct sl_choice *choice, struct line *lines, int *count)
{
    struct line *line = &lines[*count];
    *line = (struct line){layer, layer, sl_choice_row(choice), ""};
    explain(choice, line->reason);
    if (*count && line[-1].row == line->row && !strcmp(line[-1].reason, line->reason))
        line[-1].last = layer;
    else if (*count + 1 < MAX_CHOICES)
        ++*count;
}

static void add_plan(const struct sl_plan *plan, enum sl_op op, struct line *lines, int *count)
{
    const struct sl_plan_choice *choices;
    const size_t n = sl_plan_choices(plan, &choices);
    for (size_t i = 0; i < n; i++)
        if (choices[i].choice->op == op)
            add_choice(choices[i].layer, choices[i].choice, lines, count);
}

/* What training chose; what only inference does, as that chose it. */
static void print_operation(const struct network *network, enum sl_op op)
{
    static struct line lines[MAX_CHOICES];
    int count = 0;
    add_plan(network->training, op, lines, &count);
    if (count == 0)
        add_plan(network->inference, op, lines, &count);
    if (network->updater->step.op == op)
        add_choice("", &network->updater->step, lines, &count);
    for (int i = 0; i < count; i++) {
        char where[64];
        const bool run = strcmp(lines[i].first, lines[i].last) != 0;
        snprintf(where, sizeof where, "%s%s%s", lines[i].first, run ? " to " : "", run ? lines[i].last : "");
        printf("  %-19s%-18s%s%s\n", i ? "" : sl_op_name(op), where, lines[i].row->name, lines[i].reason);
    }
}

/* Where measurements are kept. */
static void print_cache(const struct sl_device *device)
{
    struct sl_row_cache cache;
    if (sl_row_cache_open(device, &cache) == SL_OK)
        printf("  cache of --kernels fastest: %s%s\n", cache.path, access(cache.path, F_OK) ? ", not there yet" : "");
    else
        printf("  cache of --kernels fastest: none: %s\n", sl_last_error());
    sl_row_cache_close(&cache);
}

int sl_doctor_print_kernels(const char *policy, enum sl_element precision)
{
    int rc = SL_OK;
    struct network network;
    SL_TRY(network_open(policy, precision, &network));
    printf("kernels of the default network, batch %d, %s, --kernels %s\n", BATCH, sl_precision_name(precision), policy);
    for (int op = 0; op < SL_OP_COUNT; op++)
        print_operation(&network, (enum sl_op)op);
    print_cache(&network.device);
out:
    network_close(&network);
    return rc;
}
