/* A small graph, and rows whose cost is known to choose from: the reference under other names, on a clock that only
 * they move. */
#ifndef SL_TESTS_CHOOSE_FIXTURE_H
#define SL_TESTS_CHOOSE_FIXTURE_H

#include "tests/net.h"

#include <stdio.h>

#include "kernels/conv/conv.h"
#include "runtime/base/clock.h"
#include "runtime/plan/choose.h"

/* ---- a clock that only rows move ---- */

static double now;

/* In the place of the library's. */
double sl_clock(void)
{
    return now;
}

/* ---- rows ---- */

/* The reference under other names, each with its price. One thread runs each launch as a whole. */
enum { FIRST, SECOND, THIRD, LIBRARY, MAKES };

static double prices[MAKES]; /* seconds a launch */
static int launches[MAKES];
static int lucky_launch; /* of the third, which costs next to nothing; 0: none */

static inline void run_at(int make, const void *shape, const void *args, const struct sl_work *work)
{
    sl_conv2d_fwd_ref.run(shape, args, work);
    if (work->begin > 0)
        return;
    launches[make]++;
    now += make == THIRD && launches[make] == lucky_launch ? 1e-4 : prices[make];
}

static inline void run_first(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(FIRST, shape, args, work);
}

static inline void run_second(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(SECOND, shape, args, work);
}

static inline void run_third(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(THIRD, shape, args, work);
}

static inline void run_library(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(LIBRARY, shape, args, work);
}

static inline bool need_as_reference(const void *shape, struct sl_need *need)
{
    return sl_conv2d_fwd_ref.need(shape, need);
}

/* The second takes more channels than three. */
static inline bool need_many(const void *shape, struct sl_need *need)
{
    return ((const struct sl_conv2d *)shape)->c > 3 && need_as_reference(shape, need);
}

/* The library's has a state, and no plan for more than four filters. */
static inline bool need_plan(const void *shape, struct sl_need *need)
{
    need->state = 1;
    return need_as_reference(shape, need);
}

static inline int open_plan(const void *shape, const struct sl_device *device, void *state)
{
    (void)device, (void)state;
    return ((const struct sl_conv2d *)shape)->k > 4 ? sl_fail(SL_UNAVAILABLE, "no plan") : SL_OK;
}

static const struct sl_kernel first_kernel = {.inexact = true, .need = need_as_reference, .run = run_first};
static const struct sl_kernel second_kernel = {.need = need_many, .run = run_second};
static const struct sl_kernel third_kernel = {.need = need_as_reference, .run = run_third};
static const struct sl_kernel library_kernel = {
    .refuses = true, .need = need_plan, .open = open_plan, .run = run_library};

static const struct sl_kernel_row makes[MAKES] = {
    {SL_OP_conv2d_fwd, "first", "first", SL_AVX512, &first_kernel},
    {SL_OP_conv2d_fwd, "second", "second", SL_AVX2, &second_kernel},
    {SL_OP_conv2d_fwd, "third", "third", SL_AVX2, &third_kernel},
    {SL_OP_conv2d_fwd, "library", "library", SL_CUDNN, &library_kernel},
};

static struct sl_kernel_row table[512];

/* One thread, every instruction set by name, and none in truth: our rows, then the references. */
static inline void open_machine(struct sl_device *device)
{
    size_t count = MAKES;
    MUST(sl_device_cpu_open(1, device));
    memcpy(table, makes, sizeof makes);
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        if (sl_kernel_rows[i].needs == SL_CPU)
            table[count++] = sl_kernel_rows[i];
    device->rows = table;
    device->row_count = count;
    device->isa = SL_CPU | SL_AVX2 | SL_AVX512;
}

/* ---- the ground ---- */

static char folder[64];
static struct sl_device machine;
static struct sl_graph *graph;
static char said[2048];

static inline void note(void *self, const char *line)
{
    (void)self;
    const size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static inline struct sl_graph *small_graph(void)
{
    struct sl_graph *g;
    MUST(sl_graph_new("small", &g));
    int32_t x = sl_graph_input(g, 6, 6, 3);
    x = sl_graph_add(g, "conv", x, SL_CONV2D(.filters = 6));
    x = sl_graph_add(g, "classes", x, SL_CONV2D(.filters = 4, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(g, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(g, "loss", x, SL_SOFTMAX_NLL());
    return g;
}

static inline void price(double a, double b, double c)
{
    prices[FIRST] = a;
    prices[SECOND] = b;
    prices[THIRD] = prices[LIBRARY] = c;
    memset(launches, 0, sizeof launches);
    lucky_launch = 0;
    said[0] = '\0';
}

static inline int enter(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sl-choose-XXXXXX");
    if (!mkdtemp(folder) || setenv("SL_CACHE_DIR", folder, 1))
        return -1;
    open_machine(&machine);
    graph = small_graph();
    price(0.010, 0.020, 0.030);
    return 0;
}

static inline int leave(void **state)
{
    char command[128];
    (void)state;
    sl_graph_free(graph);
    machine.close(machine.self);
    unsetenv("SL_KERNEL");
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static inline struct sl_choose_options options_of(enum sl_policy policy)
{
    return (struct sl_choose_options){.policy = policy, .graph = graph, .batch = 2, .training = true, .say = note};
}

/* The row of a layer in a plan that takes these rows. */
static inline struct sl_choice choice_of(const char *layer, bool training, const struct sl_selection *rows)
{
    const struct sl_plan_options options = {.batch = 2, .training = training, .dry = true, .rows = rows};
    struct sl_weights *weights;
    struct sl_plan *plan;
    const struct sl_plan_choice *choices;
    struct sl_choice found = {0};
    MUST(sl_weights_lay_out(graph, &machine, &weights));
    MUST(sl_plan_open(graph, weights, &options, &plan));
    const size_t count = sl_plan_choices(plan, &choices);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(choices[i].layer, layer) && choices[i].choice->op == SL_OP_conv2d_fwd)
            found = *choices[i].choice;
    sl_plan_close(plan);
    sl_weights_close(weights);
    assert_non_null(sl_choice_row(&found));
    return found;
}

static inline void assert_takes(const char *layer, bool training, const struct sl_selection *rows, const char *row,
                                const char *why)
{
    const struct sl_choice choice = choice_of(layer, training, rows);
    assert_string_equal(sl_choice_row(&choice)->name, row);
    if (!strstr(choice.why, why))
        fail_msg("%s: \"%s\" is not in \"%s\"", layer, why, choice.why);
}

static inline void choose(enum sl_policy policy, struct sl_selection *rows)
{
    const struct sl_choose_options options = options_of(policy);
    MUST(sl_choose_rows(&options, SL_OK, &machine, rows));
}

/* What a run with this policy writes down. */
static inline char *record_of(enum sl_policy policy)
{
    struct sl_selection rows;
    struct sl_plan *plans[2];
    struct sl_weights *weights;
    char *text;
    choose(policy, &rows);
    MUST(sl_weights_lay_out(graph, &machine, &weights));
    for (int i = 0; i < 2; i++) {
        const struct sl_plan_options options = {.batch = 2, .training = !i, .dry = true, .rows = &rows};
        MUST(sl_plan_open(graph, weights, &options, &plans[i]));
    }
    MUST(sl_choose_record(rows.policy, plans[0], plans[1], &text));
    sl_plan_close(plans[0]);
    sl_plan_close(plans[1]);
    sl_weights_close(weights);
    sl_selection_close(&rows);
    return text;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
#endif
