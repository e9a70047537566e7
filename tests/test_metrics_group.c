/* Metrics of several ranks become one on each, and what does not fit together is refused by all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/elementwise/philox.h"
#include "runtime/train/metrics.h"
#include "tests/thread_group.h"

enum { CLASSES = 300, SAMPLES = 9001 };

struct job {
    int32_t classes;
    int samples[THREAD_RANKS];
    int odd_rank; /* has another top N; -1: none */
    int wanted;
};

/* Sample i of a rank, without its probabilities. */
static void add_sample(struct sl_metrics *metrics, int rank, int i)
{
    const struct sl_philox bits = sl_philox4x32((uint64_t)rank, 3, (uint64_t)i);
    const uint32_t n = (uint32_t)metrics->classes;
    metrics->samples++;
    metrics->top_n_correct += bits.word[0] & 1;
    metrics->loss += bits.word[1] * UINT64_C(20);
    metrics->confusion[bits.word[2] % n * n + bits.word[3] % n]++;
}

static void open_metrics(struct sl_metrics *metrics, const struct job *job, int rank)
{
    assert_int_equal(sl_metrics_open(metrics, job->classes, rank == job->odd_rank ? 3 : 5), SL_OK);
    for (int i = 0; i < job->samples[rank]; i++)
        add_sample(metrics, rank, i);
}

static void join(const struct sl_group *group, void *self)
{
    const struct job *job = self;
    struct sl_metrics joined, wanted;
    open_metrics(&joined, job, group->rank);
    assert_int_equal(sl_metrics_join(&joined, group), job->wanted);
    assert_int_equal(sl_metrics_open(&wanted, job->classes, 5), SL_OK);
    for (int rank = 0; job->wanted == SL_OK && rank < group->size; rank++) {
        struct sl_metrics part;
        open_metrics(&part, job, rank);
        assert_int_equal(sl_metrics_merge(&wanted, &part), SL_OK);
        sl_metrics_close(&part);
    }
    if (job->wanted == SL_OK) {
        assert_true(joined.samples == wanted.samples && joined.top_n_correct == wanted.top_n_correct);
        assert_true(joined.loss == wanted.loss);
        assert_memory_equal(joined.confusion, wanted.confusion,
                            (size_t)job->classes * (size_t)job->classes * sizeof *wanted.confusion);
    }
    sl_metrics_close(&joined);
    sl_metrics_close(&wanted);
}

static void counts_of_all_ranks_add_up(void **state)
{
    (void)state;
    struct job job = {.classes = CLASSES, .samples = {SAMPLES, 0, 17, 2 * SAMPLES, 1, 4096, 0}, .odd_rank = -1};
    for (int ranks = 1; ranks <= 7; ranks++)
        thread_group_run(ranks, join, &job);
    job = (struct job){.classes = 1, .samples = {3, 4}, .odd_rank = -1};
    thread_group_run(2, join, &job);
    job = (struct job){.classes = 9, .odd_rank = -1};
    thread_group_run(3, join, &job);
}

static void ranks_that_count_differently_are_refused(void **state)
{
    (void)state;
    struct job job = {.classes = 9, .samples = {3, 4, 5}, .odd_rank = 1, .wanted = SL_INTERNAL};
    thread_group_run(3, join, &job);
}

static void too_many_samples(const struct sl_group *group, void *self)
{
    struct sl_metrics metrics;
    (void)self;
    assert_int_equal(sl_metrics_open(&metrics, 2, 1), SL_OK);
    metrics.samples = SL_METRICS_MAX_SAMPLES / 2 + 1;
    assert_int_equal(sl_metrics_join(&metrics, group), SL_BAD_DATA);
    sl_metrics_close(&metrics);
}

static void the_loss_has_room_for_all(void **state)
{
    (void)state;
    thread_group_run(2, too_many_samples, NULL);
}

/* ---- what arrives is not believed ---- */

struct liar {
    uint32_t words[4]; /* actual, predicted, count */
    size_t bytes;
};

static int alone_twice(void *self, const void *mine, size_t bytes, void *all)
{
    (void)self;
    memcpy(all, mine, bytes);
    memcpy((char *)all + bytes, mine, bytes);
    return SL_OK;
}

static int lie(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    const struct liar *liar = self;
    *all = malloc(bytes + liar->bytes);
    assert_non_null(*all);
    memcpy(*all, mine, bytes);
    memcpy((char *)*all + bytes, liar->words, liar->bytes);
    offsets[0] = 0;
    offsets[1] = bytes;
    offsets[2] = bytes + liar->bytes;
    return SL_OK;
}

static void cells_out_of_range_are_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"ant", "bee"};
    static const struct {
        struct liar liar;
        int status;
    } cases[] = {
        {{{4, 4, 1, 0}, 16}, SL_OK},
        {{{5, 0, 1, 0}, 16}, SL_IO},
        {{{0, UINT32_MAX, 1, 0}, 16}, SL_IO},
        {{{0, 0, 1, 0}, 15}, SL_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct job job = {.classes = 5, .samples = {8}, .odd_rank = -1};
        struct liar liar = cases[i].liar;
        const struct sl_group group = {0, 2, hosts, &liar, alone_twice, lie};
        struct sl_metrics metrics;
        open_metrics(&metrics, &job, 0);
        assert_int_equal(sl_metrics_join(&metrics, &group), cases[i].status);
        sl_metrics_close(&metrics);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_of_all_ranks_add_up),
        cmocka_unit_test(ranks_that_count_differently_are_refused),
        cmocka_unit_test(the_loss_has_room_for_all),
        cmocka_unit_test(cells_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
