/* Work for a node of many cores, proved by counting: a training step of the default network at batch 32 is cut for 64
 * threads as the CPU device cuts it, and what each thread executes is counted, vector by vector (simd/vec_counted.h:
 * this program has the AVX-512 rows with counted vectors). In every launch the thread with the most has at most 1.15
 * times the mean, and so it is in the whole step. SL_VERBOSE=1 prints the launches. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/image/image.h"
#include "models/models.h"
#include "runtime/device/slices.h"
#include "runtime/plan/plan.h"
#include "runtime/train/updater.h"
#include "tests/must.h"

enum { BATCH = 32, SIDE = 64, CLASSES = 200, LAUNCHES = 256 };

uint64_t sl_vectors_counted;

/* ---- a device that runs its threads one after the other ---- */

/* What one launch gave its threads to do. */
struct launch {
    const struct sl_choice *choice;
    const struct sl_kernel_row *row;
    bool pack;
    int64_t units;
    double longest, mean; /* of the threads, in vectors; in units, if the row has none */
    bool counted;
};

struct counting {
    struct sl_launch_listener listener;
    struct launch launches[LAUNCHES];
    size_t count;
    int threads;
    void *scratch;
    size_t scratch_bytes;
};

static int map(void *self, size_t bytes, void **memory)
{
    (void)self;
    *memory = mmap(NULL, bytes + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (*memory == MAP_FAILED)
        return sl_fail(SL_UNAVAILABLE, "out of memory");
    return SL_OK;
}

/* The end of the program frees it. */
static void keep(void *self, void *memory)
{
    (void)self, (void)memory;
}

static int copy(void *self, void *to, const void *from, size_t bytes)
{
    (void)self;
    memcpy(to, from, bytes);
    return SL_OK;
}

/* Memory is zero from the beginning: what would only touch all of it is left out. */
static int fill(void *self, void *to, int byte, size_t bytes)
{
    (void)self;
    if (byte != 0 || bytes < 4096)
        memset(to, byte, bytes);
    return SL_OK;
}

/* What the slices of one thread come to. */
static void run_thread(const struct counting *c, int64_t units, int thread, sl_task_fn *task, void *task_self)
{
    const int64_t slices = sl_slices(units, c->threads), end = sl_cut(slices, thread + 1, c->threads);
    for (int64_t s = sl_cut(slices, thread, c->threads); s < end; s++)
        task(task_self, &(const struct sl_work){.begin = sl_cut(units, s, slices),
                                                .end = sl_cut(units, s + 1, slices),
                                                .scratch = c->scratch});
}

static int64_t units_of(int64_t units, int thread, int threads)
{
    const int64_t slices = sl_slices(units, threads);
    return sl_cut(units, sl_cut(slices, thread + 1, threads), slices) -
           sl_cut(units, sl_cut(slices, thread, threads), slices);
}

static int fork_in_turn(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct counting *c = self;
    struct launch *l = &c->launches[c->count];
    double vectors = 0.0, most_vectors = 0.0, most_units = 0.0;
    assert_true(c->count < LAUNCHES);
    if (scratch_bytes > c->scratch_bytes) {
        c->scratch_bytes = scratch_bytes;
        MUST(map(NULL, scratch_bytes, &c->scratch));
    }
    for (int t = 0; t < c->threads; t++) {
        const uint64_t before = sl_vectors_counted;
        run_thread(c, units, t, task, task_self);
        const double own = (double)(sl_vectors_counted - before), own_units = (double)units_of(units, t, c->threads);
        vectors += own;
        most_vectors = own > most_vectors ? own : most_vectors;
        most_units = own_units > most_units ? own_units : most_units;
    }
    *l = (struct launch){.units = units, .longest = most_units, .mean = (double)units / c->threads};
    if (vectors > 0.0) {
        l->counted = true;
        l->longest = most_vectors;
        l->mean = vectors / c->threads;
    }
    return SL_OK;
}

static int done(void *self)
{
    (void)self;
    return SL_OK;
}

static void nothing(void *self)
{
    (void)self;
}

static void remember(void *self, const struct sl_choice *choice, const struct sl_kernel_row *row, bool pack)
{
    struct counting *c = self;
    struct launch *l = &c->launches[c->count++];
    l->choice = choice;
    l->row = row;
    l->pack = pack;
}

static struct sl_device device_of(struct counting *c, int threads)
{
    *c = (struct counting){.listener = {nothing, remember, c}, .threads = threads};
    return (struct sl_device){
        .name = "counting",
        .isa = SL_CPU | SL_AVX512, /* no row of AVX2 is counted */
        .threads = threads,
        .host_memory = true,
        .rows = sl_kernel_rows,
        .row_count = sl_kernel_row_count,
        .self = c,
        .alloc = map,
        .free = keep,
        .copy = copy,
        .fill = fill,
        .fork = fork_in_turn,
        .sync = done,
        .close = nothing,
    };
}

/* ---- a step ---- */

static void step(struct sl_plan *plan, struct sl_updater *updater)
{
    static uint8_t bytes[BATCH * SIDE * SIDE * 3];
    static struct sl_image_place places[BATCH];
    static int32_t labels[BATCH];
    for (int32_t i = 0; i < BATCH; i++) {
        places[i].index = i;
        labels[i] = 16 * (i % 4); /* channels of a first lane */
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 % 251);
    const struct sl_plan_pixels pixels = {bytes, places, {0.01f, 0.01f, 0.01f}, {0}};
    const struct sl_plan_input input = {.pixels = &pixels, .labels = labels, .count = BATCH, .rate = 0.001f};
    struct sl_now now;
    MUST(sl_plan_forward(plan, &input));
    MUST(sl_plan_backward(plan, NULL));
    MUST(sl_plan_judge(plan));
    MUST(sl_updater_step(updater, sl_plan_now(plan), NULL));
    MUST(sl_plan_commit(plan));
    MUST(sl_plan_read_now(plan, &now));
    assert_false(now.bad); /* a bad step moves nothing, and would be too little work */
}

static const char *layer_of(const struct sl_plan *plan, const struct launch *l)
{
    const struct sl_plan_choice *choices;
    const size_t count = sl_plan_choices(plan, &choices);
    for (size_t i = 0; i < count; i++)
        if (choices[i].choice == l->choice)
            return choices[i].layer;
    return "";
}

static void print_launch(const struct sl_plan *plan, const struct launch *l, double step)
{
    fprintf(stderr, "%-10s %-20s %-18s %5lld units  %10.0f %s a thread  %6.2f %% of the step  longest %.3f\n",
            layer_of(plan, l), sl_op_name(l->row->op), l->pack ? "pack" : l->row->name, (long long)l->units, l->mean,
            l->counted ? "vectors" : "units", l->counted ? 100.0 * l->mean / step : 0.0, l->longest / l->mean);
}

/* Work that makes no difference: less than half a percent of the step; and what has no vectors because it is a few
 * numbers for each channel, or the few weights of a direct row that it packs. */
static bool matters(const struct launch *l, double step)
{
    static const enum sl_op few[] = {SL_OP_norm_join, SL_OP_norm_scale, SL_OP_norm_bwd_join, SL_OP_norm_commit,
                                     SL_OP_judge};
    for (size_t i = 0; i < sizeof few / sizeof *few; i++)
        if (l->row->op == few[i])
            return false;
    return l->counted ? l->mean >= 0.005 * step : !l->pack;
}

static void check_launches(const struct counting *c, const struct sl_plan *plan)
{
    double step = 0.0, longest = 0.0;
    size_t uneven = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->launches[i].counted) {
            step += c->launches[i].mean;
            longest += c->launches[i].longest;
        }
    for (size_t i = 0; i < c->count; i++)
        uneven += matters(&c->launches[i], step) && c->launches[i].longest > 1.15 * c->launches[i].mean;
    if (uneven > 0 || longest > 1.15 * step || getenv("SL_VERBOSE")) {
        for (size_t i = 0; i < c->count; i++)
            print_launch(plan, &c->launches[i], step);
        fprintf(stderr, "%d threads: the whole step, launch after launch: longest %.3f\n", c->threads, longest / step);
    }
    assert_int_equal(uneven, 0);
    assert_true(longest <= 1.15 * step);
}

static void count_a_step(int threads)
{
    static struct counting c;
    struct sl_device device = device_of(&c, threads);
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_updater *updater;
    struct sl_plan *plan;
    const struct sl_model_options model = {SIDE, CLASSES};
    const struct sl_plan_options options = {.batch = BATCH, .training = true};
    const struct sl_updater_options amsgrad = sl_updater_defaults();
    MUST(sl_model_build("darknet", &model, &graph));
    MUST(sl_weights_open(graph, &device, true, &weights));
    MUST(sl_weights_init(weights, 1));
    MUST(sl_updater_open(weights, &amsgrad, &updater));
    MUST(sl_plan_open(graph, weights, &options, &plan));
    device.listener = &c.listener;
    step(plan, updater);
    check_launches(&c, plan);
    sl_plan_close(plan);
    sl_updater_close(updater);
    sl_weights_close(weights);
    sl_graph_free(graph);
}

static void no_thread_has_much_more_than_the_mean(void **state)
{
    static const int threads[] = {1, 2, 7, 16, 64};
    (void)state;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        count_a_step(threads[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_thread_has_much_more_than_the_mean)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
