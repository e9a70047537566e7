/* Choosing rows: by a race of rows whose cost is known, from the cache, from a record, and by ranks together. */
#include "tests/net.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/conv/conv.h"
#include "runtime/base/clock.h"
#include "runtime/base/file_io.h"
#include "runtime/plan/choose.h"
#include "runtime/plan/row_cache.h"
#include "tests/strict_device.h"
#include "tests/thread_group.h"

/* ---- a clock that only rows move ---- */

static double now;

/* In the place of the library's. */
double sl_clock(void)
{
    return now;
}

/* ---- rows ---- */

/* The reference under other names, each with its price. One thread runs each launch as a whole. */
enum { FIRST, SECOND, THIRD, MAKES };

static double prices[MAKES]; /* seconds a launch */
static int launches[MAKES];
static int lucky_launch; /* of the third, which costs next to nothing; 0: none */

static void run_at(int make, const void *shape, const void *args, const struct sl_work *work)
{
    sl_conv2d_fwd_ref.run(shape, args, work);
    if (work->begin > 0)
        return;
    launches[make]++;
    now += make == THIRD && launches[make] == lucky_launch ? 1e-4 : prices[make];
}

static void run_first(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(FIRST, shape, args, work);
}

static void run_second(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(SECOND, shape, args, work);
}

static void run_third(const void *shape, const void *args, const struct sl_work *work)
{
    run_at(THIRD, shape, args, work);
}

static bool need_as_reference(const void *shape, struct sl_need *need)
{
    return sl_conv2d_fwd_ref.need(shape, need);
}

/* The second takes more channels than three. */
static bool need_many(const void *shape, struct sl_need *need)
{
    return ((const struct sl_conv2d *)shape)->c > 3 && need_as_reference(shape, need);
}

static const struct sl_kernel first = {.transforms = true, .need = need_as_reference, .run = run_first};
static const struct sl_kernel second = {.need = need_many, .run = run_second};
static const struct sl_kernel third = {.need = need_as_reference, .run = run_third};

static const struct sl_kernel_row makes[MAKES] = {
    {SL_OP_conv2d_fwd, "first", "first", SL_AVX512, &first},
    {SL_OP_conv2d_fwd, "second", "second", SL_AVX2, &second},
    {SL_OP_conv2d_fwd, "third", "third", SL_AVX2, &third},
};

static struct sl_kernel_row table[512];

/* One thread, every instruction set by name, and none in truth: our rows, then the references. */
static void open_device(struct sl_device *device)
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
static struct sl_device device;
static struct sl_graph *graph;
static char said[2048];

static void note(void *self, const char *line)
{
    (void)self;
    const size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s\n", line);
}

static struct sl_graph *small_graph(void)
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

static void price(double a, double b, double c)
{
    prices[FIRST] = a;
    prices[SECOND] = b;
    prices[THIRD] = c;
    memset(launches, 0, sizeof launches);
    lucky_launch = 0;
    said[0] = '\0';
}

static int enter(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sl-choose-XXXXXX");
    if (!mkdtemp(folder) || setenv("SL_CACHE_DIR", folder, 1))
        return -1;
    open_device(&device);
    graph = small_graph();
    price(0.010, 0.020, 0.030);
    return 0;
}

static int leave(void **state)
{
    char command[128];
    (void)state;
    sl_graph_free(graph);
    device.close(device.self);
    unsetenv("SL_KERNEL");
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static struct sl_choose_options options_of(enum sl_policy policy)
{
    return (struct sl_choose_options){.policy = policy, .graph = graph, .batch = 2, .training = true, .say = note};
}

/* The row of a layer in a plan that takes these rows. */
static struct sl_choice choice_of(const char *layer, bool training, const struct sl_selection *rows)
{
    const struct sl_plan_options options = {.batch = 2, .training = training, .dry = true, .rows = rows};
    struct sl_weights *weights;
    struct sl_plan *plan;
    const struct sl_plan_choice *choices;
    struct sl_choice found = {0};
    MUST(sl_weights_lay_out(graph, &device, &weights));
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

static void assert_takes(const char *layer, bool training, const struct sl_selection *rows, const char *row,
                         const char *why)
{
    const struct sl_choice choice = choice_of(layer, training, rows);
    assert_string_equal(sl_choice_row(&choice)->name, row);
    if (!strstr(choice.why, why))
        fail_msg("%s: \"%s\" is not in \"%s\"", layer, why, choice.why);
}

static void choose(enum sl_policy policy, struct sl_selection *rows)
{
    const struct sl_choose_options options = options_of(policy);
    MUST(sl_choose_rows(&options, SL_OK, &device, rows));
}

/* ---- policies ---- */

static void shipped_is_the_table(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.9, 0.1, 0.1);
    choose(SL_POLICY_DEFAULT, &rows);
    assert_int_equal(rows.policy, SL_POLICY_SHIPPED);
    assert_int_equal(rows.count, 0);
    assert_takes("conv", true, &rows, "first", "first in the table");
    assert_int_equal(launches[FIRST], 0);
    assert_string_equal(said, "");
    sl_selection_close(&rows);
}

static void exact_does_without_rows_that_transform(void **state)
{
    (void)state;
    struct sl_selection rows;
    choose(SL_POLICY_EXACT, &rows);
    assert_takes("conv", true, &rows, "third", "exact");
    assert_takes("classes", true, &rows, "second", "exact");
    assert_takes("classes", false, &rows, "second", "exact");
    sl_selection_close(&rows);
}

static void what_is_forced_is_taken_by_every_policy(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.9, 0.1, 0.1);
    assert_int_equal(setenv("SL_KERNEL", "conv2d_fwd:first", 1), 0);
    for (int policy = SL_POLICY_SHIPPED; policy <= SL_POLICY_EXACT; policy++) {
        choose((enum sl_policy)policy, &rows);
        assert_takes("conv", true, &rows, "first", "forced by SL_KERNEL");
        assert_int_equal(rows.count, 0);
        sl_selection_close(&rows);
    }
    assert_int_equal(launches[FIRST], 0); /* nothing to find out */
}

static void policies_have_names(void **state)
{
    (void)state;
    for (int policy = SL_POLICY_SHIPPED; policy <= SL_POLICY_EXACT; policy++)
        assert_int_equal(sl_policy_find(sl_policy_name((enum sl_policy)policy)), policy);
    assert_int_equal(sl_policy_find("slowest"), SL_POLICY_DEFAULT);
    assert_string_equal(sl_policy_name(SL_POLICY_DEFAULT), "shipped");
}

/* ---- measuring ---- */

static void the_fastest_is_taken_shape_by_shape(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("conv", true, &rows, "third", "fastest: 10 ms, next 20");
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    assert_takes("classes", false, &rows, "second", "fastest: 5 ms, next 10");
    assert_non_null(strstr(said, "fastest for training, batch 2, in the time of 25 steps\n"));
    assert_non_null(strstr(said, "fastest for inference, batch 2, in the time of 25 steps\n"));
    sl_selection_close(&rows);
}

static void within_the_margin_the_table_decides(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.01000, 0.00975, 0.00975);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("classes", true, &rows, "first", "fastest: 10 ms, next 9.75");
    sl_selection_close(&rows);
}

/* Neither in a warm-up, which does not count, nor in one pass. */
static void luck_is_not_enough(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &device, .batch = 2, .seconds = 100};
    for (int lucky = 1; lucky <= 3; lucky++) {
        price(0.010, 0.011, 0.011);
        lucky_launch = lucky;
        MUST(sl_measure_rows(&options, &rows));
        assert_takes("conv", false, &rows, "first", "fastest: 10 ms, next 11");
        sl_selection_close(&rows);
    }
}

static void rows_far_behind_run_once(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &device, .batch = 2, .seconds = 100};
    price(0.010, 0.050, 0.050);
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(launches[SECOND], 2); /* a warm-up and a pass, in one layer */
    assert_takes("classes", false, &rows, "first", "fastest: 10 ms, next 50");
    sl_selection_close(&rows);
}

static void it_ends_in_time_and_what_is_not_measured_stays(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {
        .graph = graph, .device = &device, .batch = 2, .seconds = 5, .say = note};
    price(25, 1, 1);
    const double began = now;
    MUST(sl_measure_rows(&options, &rows));
    assert_true(now - began < 60 + 50); /* at most the pass that it was in */
    assert_int_equal(rows.count, 0);
    assert_takes("conv", false, &rows, "first", "first in the table");
    assert_non_null(strstr(said, "did not suffice"));
    sl_selection_close(&rows);
}

static void slow_passes_get_more_time(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    const struct sl_measure_options options = {.graph = graph, .device = &device, .batch = 2, .seconds = 1};
    price(1, 0.5, 0.5);
    const double began = now;
    MUST(sl_measure_rows(&options, &rows));
    assert_true(now - began > 10 && now - began < 26 * 2);
    assert_takes("classes", false, &rows, "second", "fastest: 500 ms, next 500");
    sl_selection_close(&rows);
}

static void a_limit_of_memory_is_kept(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    struct sl_measure_options options = {
        .graph = graph, .device = &device, .batch = 2, .seconds = 5, .memory_limit = 100, .say = note};
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(rows.count, 0);
    options.memory_limit = 4096; /* the weights fit, the arena does not */
    MUST(sl_measure_rows(&options, &rows));
    assert_int_equal(rows.count, 0);
    assert_int_equal(launches[FIRST], 0);
    assert_non_null(strstr(said, "did not suffice"));
    sl_selection_close(&rows);
}

/* Where the host cannot reach the memory. Its rows do not move the clock, and so are not measured. */
static void a_device_of_its_own_memory_races_too(void **state)
{
    (void)state;
    struct sl_selection rows = {0};
    struct sl_device strict;
    strict_device_open(1, &strict);
    const struct sl_measure_options options = {
        .graph = graph, .device = &strict, .batch = 2, .training = true, .seconds = 5};
    MUST(sl_measure_rows(&options, &rows));
    for (size_t i = 0; i < rows.count; i++)
        assert_int_equal(rows.list[i].microseconds, 0);
    sl_selection_close(&rows);
    strict.close(strict.self);
}

/* ---- the cache ---- */

static void what_was_measured_is_remembered(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "remembered in "));
    sl_selection_close(&rows);
    price(0.001, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_string_equal(said, "");
    assert_int_equal(launches[FIRST] + launches[SECOND] + launches[THIRD], 0);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10, from the cache");
    sl_selection_close(&rows);
}

/* Another batch is another shape; both are remembered. */
static void what_is_new_is_measured_and_added(void **state)
{
    (void)state;
    struct sl_selection rows;
    struct sl_choose_options options = options_of(SL_POLICY_FASTEST);
    choose(SL_POLICY_FASTEST, &rows);
    const size_t count = rows.count;
    sl_selection_close(&rows);
    options.batch = 3;
    for (int i = 0; i < 2; i++) {
        price(0.010, 0.020, 0.030);
        MUST(sl_choose_rows(&options, SL_OK, &device, &rows));
        assert_int_equal(rows.count, 2 * count);
        assert_int_equal(launches[FIRST] > 0, i == 0);
        sl_selection_close(&rows);
    }
    price(0.010, 0.020, 0.030);
    choose(SL_POLICY_FASTEST, &rows);
    assert_int_equal(launches[FIRST], 0);
    sl_selection_close(&rows);
}

static void another_machine_has_another_file(void **state)
{
    (void)state;
    struct sl_row_cache cache, other;
    struct sl_device changed[5] = {device, device, device, device, device};
    MUST(sl_row_cache_open(&device, &cache));
    changed[0].threads = 64;
    changed[1].isa &= ~(uint32_t)SL_AVX512;
    changed[2].row_count--;
    changed[3].host_memory = changed[4].host_memory = false;
    changed[3].name = "cuda:0 (A)";
    changed[4].name = "cuda:0 (B)";
    for (int i = 0; i < 5; i++) {
        MUST(sl_row_cache_open(&changed[i], &other));
        assert_string_not_equal(cache.path, other.path);
        assert_int_equal(strstr(other.of, changed[i].name) != NULL, i >= 3);
        sl_row_cache_close(&other);
    }
    sl_row_cache_close(&cache);
}

/* Writes `text` as the cache, measures anew, and finds a sound cache afterwards. */
static void survives(const char *text)
{
    struct sl_selection rows;
    struct sl_row_cache cache;
    MUST(sl_row_cache_open(&device, &cache));
    unlink(cache.path);
    FILE *file = fopen(cache.path, "w");
    assert_non_null(file);
    fprintf(file, text, cache.of);
    fclose(file);
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_true(launches[FIRST] > 0);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    sl_selection_close(&rows);
    MUST(sl_row_cache_read(&cache, &rows));
    assert_true(rows.count >= 3);
    sl_selection_close(&rows);
    sl_row_cache_close(&cache);
}

static void a_damaged_cache_is_measured_anew(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "{",
        "[]",
        "{\"of\":\"another\",\"policy\":\"fastest\",\"rows\":{}}",
        "{\"of\":\"%s\",\"policy\":\"slowest\",\"rows\":{}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\"}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{},\"more\":1}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":[]}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":\"first\"}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",-1,2]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",1.5,2]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",1,2,3]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[1,1,2]}}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        survives(refused[i]);
        assert_non_null(strstr(said, "measuring anew: "));
    }
    survives(
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"training conv2d_fwd 0123456789abcdef\":[\"none\",1,2]}}");
}

/* A row that was known and is not any more. */
static void an_unknown_row_is_measured_anew(void **state)
{
    (void)state;
    struct sl_selection rows;
    struct sl_row_cache cache;
    choose(SL_POLICY_FASTEST, &rows);
    for (size_t i = 0; i < rows.count; i++)
        strcpy(rows.list[i].row, "forgotten");
    MUST(sl_row_cache_open(&device, &cache));
    MUST(sl_row_cache_write(&cache, &rows));
    sl_row_cache_close(&cache);
    sl_selection_close(&rows);
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    sl_selection_close(&rows);
}

static void without_a_place_nothing_is_kept(void **state)
{
    (void)state;
    struct sl_selection rows;
    char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    home = home ? strdup(home) : NULL;
    xdg = xdg ? strdup(xdg) : NULL;
    unsetenv("HOME");
    unsetenv("SL_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "not/absolute", 1);
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "not remembered: SL_CACHE_DIR, XDG_CACHE_HOME and HOME name no folder"));
    sl_selection_close(&rows);
    setenv("SL_CACHE_DIR", "/proc/starling", 1);
    said[0] = '\0';
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "not remembered: /proc/starling"));
    sl_selection_close(&rows);
    unsetenv("XDG_CACHE_HOME");
    if (home)
        setenv("HOME", home, 1);
    if (xdg)
        setenv("XDG_CACHE_HOME", xdg, 1);
    free(home);
    free(xdg);
}

static void the_folder_is_made(void **state)
{
    (void)state;
    char deep[128];
    struct stat info;
    struct sl_selection rows;
    struct sl_row_cache cache;
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    setenv("SL_CACHE_DIR", deep, 1);
    choose(SL_POLICY_FASTEST, &rows);
    MUST(sl_row_cache_open(&device, &cache));
    assert_int_equal(stat(cache.path, &info), 0);
    sl_row_cache_close(&cache);
    sl_selection_close(&rows);
}

/* ---- a record ---- */

/* What a run with this policy writes down. */
static char *record_of(enum sl_policy policy)
{
    struct sl_selection rows;
    struct sl_plan *plans[2];
    struct sl_weights *weights;
    char *text;
    choose(policy, &rows);
    MUST(sl_weights_lay_out(graph, &device, &weights));
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

static void choose_again(enum sl_policy policy, const char *record, struct sl_selection *rows)
{
    struct sl_choose_options options = options_of(policy);
    options.record = record;
    said[0] = '\0';
    MUST(sl_choose_rows(&options, SL_OK, &device, rows));
}

static void the_rows_of_a_record_are_taken_again(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    char *record = record_of(SL_POLICY_FASTEST);
    price(0.001, 0.005, 0.010);
    for (int policy = 0; policy < 4; policy += SL_POLICY_FASTEST) { /* by default, and by name */
        choose_again((enum sl_policy)policy, record, &rows);
        assert_int_equal(rows.policy, SL_POLICY_FASTEST);
        assert_takes("classes", true, &rows, "second", "as in the checkpoint");
        assert_takes("conv", false, &rows, "third", "as in the checkpoint");
        sl_selection_close(&rows);
    }
    assert_int_equal(launches[FIRST], 0);
    /* Who names another policy gets it. */
    choose_again(SL_POLICY_SHIPPED, record, &rows);
    assert_takes("classes", true, &rows, "first", "first in the table");
    sl_selection_close(&rows);
    free(record);
}

/* A run from a machine without AVX-512 keeps its rows on one that has it; not the other way round. */
static void rows_of_a_smaller_machine_are_taken_by_a_larger(void **state)
{
    (void)state;
    struct sl_selection rows;
    device.isa = SL_CPU | SL_AVX2;
    char *small = record_of(SL_POLICY_SHIPPED);
    device.isa |= SL_AVX512;
    char *large = record_of(SL_POLICY_SHIPPED);
    choose_again(SL_POLICY_DEFAULT, small, &rows);
    assert_takes("conv", true, &rows, "third", "as in the checkpoint");
    sl_selection_close(&rows);
    device.isa = SL_CPU | SL_AVX2;
    choose_again(SL_POLICY_DEFAULT, large, &rows);
    assert_int_equal(rows.count, 0);
    sl_selection_close(&rows);
    free(small);
    free(large);
}

static void a_record_that_is_none_is_told(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "{}", "{\"of\":\"rank 0\",\"policy\":\"exact\",\"rows\":{}}"};
    struct sl_selection rows;
    for (size_t i = 0; i < 3; i++) {
        choose_again(SL_POLICY_DEFAULT, texts[i], &rows);
        assert_int_equal(rows.policy, SL_POLICY_SHIPPED);
        assert_non_null(strstr(said, "the checkpoint's kernels are not taken: "));
        sl_selection_close(&rows);
    }
    choose_again(SL_POLICY_DEFAULT,
                 "{\"of\":\"checkpoint\",\"policy\":\"exact\",\"rows\":{\"training no_such 00\":[\"first\",0,0]}}",
                 &rows);
    assert_int_equal(rows.policy, SL_POLICY_EXACT);
    assert_int_equal(rows.count, 0);
    sl_selection_close(&rows);
}

/* ---- ranks ---- */

struct job {
    enum sl_policy policies[3];
    uint32_t isas[3];
    int status[3];
    const char *record[3];
    int wanted;
    char rows[3][SL_SELECTED_ROW];
    uint32_t left[3];
};

static void choose_as_rank(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_device mine = device;
    struct sl_selection rows;
    struct sl_choose_options options = options_of(job->policies[group->rank]);
    options.group = group;
    options.record = job->record[group->rank];
    options.say = group->rank ? NULL : note;
    mine.isa = job->isas[group->rank];
    const int rc = sl_choose_rows(&options, job->status[group->rank], &mine, &rows);
    const int wanted = job->status[group->rank] ? job->status[group->rank] : job->wanted;
    if (rc != wanted)
        fail_msg("rank %d: %d, %s", group->rank, rc, sl_last_error());
    job->left[group->rank] = mine.isa;
    for (size_t i = 0; i < rows.count; i++)
        if (strstr(rows.list[i].key, "training conv2d_fwd"))
            strcpy(job->rows[group->rank], rows.list[i].row); /* the last */
    sl_selection_close(&rows);
}

enum { ALL_ISA = SL_CPU | SL_AVX2 | SL_AVX512, LESS = SL_CPU | SL_AVX2 };

static void ranks_take_what_rank_0_found(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST, SL_POLICY_FASTEST},
                      .isas = {ALL_ISA, ALL_ISA, ALL_ISA}};
    price(0.020, 0.005, 0.010);
    thread_group_run(3, choose_as_rank, &job);
    for (int i = 0; i < 3; i++)
        assert_string_equal(job.rows[i], "second");
}

static void ranks_of_two_kinds_take_what_both_can_run(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, LESS}};
    price(0.001, 0.010, 0.005);
    thread_group_run(2, choose_as_rank, &job);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(job.rows[i], "third");
        assert_int_equal(job.left[i], LESS);
    }
    assert_int_equal(launches[FIRST], 0);
    assert_non_null(strstr(said, "of the instruction sets that each has: avx2\n"));
    /* As shipped, each takes its own best. */
    struct job shipped = {.isas = {ALL_ISA, LESS}};
    thread_group_run(2, choose_as_rank, &shipped);
    assert_int_equal(shipped.left[0], ALL_ISA);
}

static void ranks_that_differ_are_refused(void **state)
{
    (void)state;
    struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST, SL_POLICY_EXACT},
                      .isas = {ALL_ISA, ALL_ISA, ALL_ISA},
                      .wanted = SL_DISAGREE};
    thread_group_run(3, choose_as_rank, &job);
    assert_int_equal(launches[FIRST], 0);
}

static void a_rank_that_has_failed_keeps_nobody_waiting(void **state)
{
    (void)state;
    for (int failed = 0; failed < 2; failed++) {
        struct job job = {.policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, ALL_ISA}};
        job.status[failed] = SL_MISSING;
        thread_group_run(2, choose_as_rank, &job);
    }
    assert_int_equal(launches[FIRST], 0);
}

/* If one rank cannot take its rows again, all measure. */
static void ranks_take_their_records_all_or_none(void **state)
{
    (void)state;
    price(0.020, 0.005, 0.010);
    char *record = record_of(SL_POLICY_FASTEST);
    struct job job = {.isas = {ALL_ISA, ALL_ISA}, .record = {record, record}};
    price(0.001, 0.005, 0.010);
    thread_group_run(2, choose_as_rank, &job);
    assert_int_equal(launches[FIRST], 0);
    for (int i = 0; i < 2; i++)
        assert_string_equal(job.rows[i], "second");
    struct job lost = {
        .policies = {SL_POLICY_FASTEST, SL_POLICY_FASTEST}, .isas = {ALL_ISA, ALL_ISA}, .record = {record, NULL}};
    setenv("SL_CACHE_DIR", "/proc/starling", 1); /* nor does the cache know */
    thread_group_run(2, choose_as_rank, &lost);
    assert_true(launches[FIRST] > 0);
    for (int i = 0; i < 2; i++)
        assert_string_equal(lost.rows[i], "first");
    free(record);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(shipped_is_the_table),
        CASE(exact_does_without_rows_that_transform),
        CASE(what_is_forced_is_taken_by_every_policy),
        CASE(policies_have_names),
        CASE(the_fastest_is_taken_shape_by_shape),
        CASE(within_the_margin_the_table_decides),
        CASE(luck_is_not_enough),
        CASE(rows_far_behind_run_once),
        CASE(it_ends_in_time_and_what_is_not_measured_stays),
        CASE(slow_passes_get_more_time),
        CASE(a_limit_of_memory_is_kept),
        CASE(a_device_of_its_own_memory_races_too),
        CASE(what_was_measured_is_remembered),
        CASE(what_is_new_is_measured_and_added),
        CASE(another_machine_has_another_file),
        CASE(a_damaged_cache_is_measured_anew),
        CASE(an_unknown_row_is_measured_anew),
        CASE(without_a_place_nothing_is_kept),
        CASE(the_folder_is_made),
        CASE(the_rows_of_a_record_are_taken_again),
        CASE(rows_of_a_smaller_machine_are_taken_by_a_larger),
        CASE(a_record_that_is_none_is_told),
        CASE(ranks_take_what_rank_0_found),
        CASE(ranks_of_two_kinds_take_what_both_can_run),
        CASE(ranks_that_differ_are_refused),
        CASE(a_rank_that_has_failed_keeps_nobody_waiting),
        CASE(ranks_take_their_records_all_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
