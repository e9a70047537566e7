/* One process on many threads, more than this machine has: each unit is computed once, memory is filled, and a training
 * step has the same bits as on one thread. That threads have even work is for test_balance.c. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/philox.h"
#include "models/models.h"
#include "runtime/device/parallel.h"
#include "runtime/device/slices.h"
#include "runtime/plan/plan.h"
#include "runtime/train/updater.h"
#include "tests/must.h"

static const int threads[] = {1, 2, 7, 16, 64};
enum { THREADS = sizeof threads / sizeof *threads };

/* ---- the device ---- */

enum { MOST_UNITS = 2000 };

static void count_units(void *self, const struct sl_work *work)
{
    atomic_int *counts = self;
    for (int64_t unit = work->begin; unit < work->end; unit++)
        atomic_fetch_add(&counts[unit], 1);
}

static void every_unit_is_computed_once(void **state)
{
    (void)state;
    static const int64_t units[] = {1, 2, 3, 6, 7, 8, 63, 64, 65, 127, 511, 512, 513, 1999};
    static atomic_int counts[MOST_UNITS];
    for (int t = 0; t < THREADS; t++) {
        struct sl_device device;
        MUST(sl_device_cpu_open(threads[t], &device));
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            memset(counts, 0, sizeof counts);
            MUST(device.fork(device.self, units[i], 0, count_units, counts));
            for (int64_t unit = 0; unit < MOST_UNITS; unit++)
                assert_int_equal(counts[unit], unit < units[i]);
        }
        device.close(device.self);
    }
}

static void slices_differ_by_one_unit_at_most(void **state)
{
    (void)state;
    for (int64_t units = 1; units < MOST_UNITS; units++)
        for (int t = 0; t < THREADS; t++) {
            const int64_t slices = sl_slices(units, threads[t]);
            assert_int_equal(sl_cut(units, 0, slices), 0);
            assert_int_equal(sl_cut(units, slices, slices), units);
            for (int64_t s = 0; s < slices; s++) {
                const int64_t length = sl_cut(units, s + 1, slices) - sl_cut(units, s, slices);
                assert_in_range(length, units / slices, (units + slices - 1) / slices);
            }
        }
}

/* Sizes around that from which threads share the filling, from an address in the middle of a page. */
static void all_of_the_memory_is_filled(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3000001};
    enum { ROOM = 3100000, BEFORE = 100 };
    unsigned char *room = malloc(ROOM);
    assert_non_null(room);
    for (int t = 0; t < THREADS; t++) {
        struct sl_device device;
        MUST(sl_device_cpu_open(threads[t], &device));
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            memset(room, 1, ROOM);
            MUST(device.fill(device.self, room + BEFORE, 2, sizes[i]));
            for (size_t at = 0; at < ROOM; at++)
                if (room[at] != (at >= BEFORE && at - BEFORE < sizes[i] ? 2 : 1))
                    fail_msg("byte %zu of %zu has not what it should", at, sizes[i]);
        }
        device.close(device.self);
    }
    free(room);
}

/* ---- a step ---- */

/* Three images of 64 x 64: enough for the gradients of the first layers to be summed in parts. */
enum { BATCH = 3, SIDE = 64, CLASSES = 10 };

/* Everything that a step leaves. */
struct left {
    size_t gradients, statistics; /* floats */
    float *gradient, *value, *statistic;
    double loss;
};

static float *copy_of(const float *from, size_t floats)
{
    float *to = malloc(floats * sizeof *to);
    assert_non_null(to);
    memcpy(to, from, floats * sizeof *to);
    return to;
}

static struct left train_on(int count)
{
    static float images[BATCH * SIDE * SIDE * 3];
    static const int32_t labels[BATCH] = {3, 1, 4};
    const struct sl_model_options model = {SIDE, CLASSES};
    const struct sl_plan_options options = {.batch = BATCH, .training = true};
    const struct sl_updater_options amsgrad = sl_updater_defaults();
    const struct sl_plan_input input = {.images = images, .labels = labels, .count = BATCH, .rate = 0.01f};
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *w;
    struct sl_updater *updater;
    struct sl_plan *plan;
    struct left left;
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        images[i] = sl_uniform(sl_philox4x32(1, 2, i / 4).word[i % 4]) - 0.5f;
    MUST(sl_device_cpu_open(count, &device));
    MUST(sl_model_build("darknet", &model, &graph));
    MUST(sl_weights_open(graph, &device, true, &w));
    MUST(sl_weights_init(w, 1));
    MUST(sl_updater_open(w, &amsgrad, &updater));
    MUST(sl_plan_open(graph, w, &options, &plan));
    MUST(sl_plan_forward(plan, &input));
    MUST(sl_plan_backward(plan, NULL));
    MUST(sl_plan_judge(plan));
    MUST(sl_updater_step(updater, sl_plan_now(plan), NULL));
    MUST(sl_plan_commit(plan));
    left = (struct left){.gradients = (size_t)w->trained, .statistics = (size_t)w->state};
    MUST(sl_plan_mean_loss(plan, &left.loss));
    left.gradient = copy_of(w->gradients, left.gradients);
    left.value = copy_of(w->values, left.gradients);
    left.statistic = copy_of(w->statistics, left.statistics);
    sl_plan_close(plan);
    sl_updater_close(updater);
    sl_weights_close(w);
    sl_graph_free(graph);
    device.close(device.self);
    return left;
}

static void forget(struct left *left)
{
    free(left->gradient);
    free(left->value);
    free(left->statistic);
}

static void a_step_has_the_same_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    struct left one = train_on(1);
    for (int t = 1; t < THREADS; t++) {
        struct left many = train_on(threads[t]);
        assert_memory_equal(&one.loss, &many.loss, sizeof one.loss);
        assert_memory_equal(one.gradient, many.gradient, one.gradients * sizeof *one.gradient);
        assert_memory_equal(one.value, many.value, one.gradients * sizeof *one.value);
        assert_memory_equal(one.statistic, many.statistic, one.statistics * sizeof *one.statistic);
        forget(&many);
    }
    forget(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit_is_computed_once),
        cmocka_unit_test(slices_differ_by_one_unit_at_most),
        cmocka_unit_test(all_of_the_memory_is_filled),
        cmocka_unit_test(a_step_has_the_same_bits_on_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
