/* Steps of several ranks: their hooks together equal one large batch, and what goes wrong on one changes nothing on
 * any. */
#include "tests/net.h"

#include <math.h>
#include <stdio.h>

#include "tests/thread_group.h"

enum { MOST = 6 /* images of a rank */, STEPS = 3 };

/* No batch norm: its statistics are each rank's own. */
static struct sl_graph *plain_graph(void)
{
    struct sl_graph *graph;
    MUST(sl_graph_new("plain", &graph));
    int32_t x = sl_graph_input(graph, 6, 6, 3);
    x = sl_graph_add(graph, "conv", x, SL_CONV2D(.filters = 6, .bias = true));
    x = sl_graph_add(graph, "act", x, SL_LEAKY_RELU());
    x = sl_graph_add(graph, "pool", x, SL_MAX_POOL());
    x = sl_graph_add(graph, "classes", x, SL_CONV2D(.filters = 4, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(graph, "loss", x, SL_SOFTMAX_NLL());
    return graph;
}

static void open_net(struct net *net, struct sl_graph *graph, enum sl_updater_kind kind, int32_t batch)
{
    struct sl_updater_options options = sl_updater_defaults();
    options.kind = kind;
    options.l2 = 0.01;
    net_open(net, graph, batch, ~0u, 1);
    sl_updater_close(net->updater);
    MUST(sl_updater_open(net->weights, &options, &net->updater));
}

/* ---- what the ranks do ---- */

enum sharing { DENSE, UPDATES };

struct job {
    enum sharing sharing;
    struct sl_graph *(*graph)(void);
    enum sl_updater_kind kind;
    const int32_t *counts; /* images of each rank */
    int nan_rank;          /* whose first image is none; -1: no rank */
    int failing_rank;      /* whose batch cannot be loaded */
    int wrong_rank;        /* whose label is out of range */
    int wanted;            /* what every step returns */
    const char *detail;
    /* Out, of each rank. */
    float *weights[THREAD_RANKS];
    struct sl_train_result results[THREAD_RANKS];
    int updates[THREAD_RANKS], votes[THREAD_RANKS];
};

struct member {
    const struct sl_group *group;
    struct job *job;
};

static int on_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    const struct member *m = self;
    (void)last;
    thread_group_mean(m->group, part, samples);
    return SL_OK;
}

static int on_agree(void *self, struct sl_vote *vote)
{
    const struct member *m = self;
    m->job->votes[m->group->rank]++;
    return sl_group_vote(m->group, vote);
}

static int on_update(void *self, struct sl_span update, uint64_t step)
{
    const struct member *m = self;
    assert_true(step < STEPS);
    m->job->updates[m->group->rank]++;
    thread_group_mean(m->group, update, 1);
    return SL_OK;
}

static struct sl_train_hooks hooks_of(struct member *m)
{
    return (struct sl_train_hooks){
        .gradient = m->job->sharing == DENSE ? on_gradient : NULL,
        .agree = on_agree,
        .update = m->job->sharing == UPDATES ? on_update : NULL,
        .self = m,
    };
}

/* Everything a step may change. */
static float *snapshot(const struct net *net, size_t *bytes)
{
    const size_t n = (size_t)net->weights->trained, s = (size_t)net->weights->state;
    const size_t slots = (size_t)net->updater->slots;
    float *all = malloc((n * (1 + slots) + s) * sizeof *all);
    assert_non_null(all);
    memcpy(all, net->weights->values, n * sizeof *all);
    for (size_t i = 0; i < slots; i++)
        memcpy(all + (1 + i) * n, net->updater->state[i], n * sizeof *all);
    memcpy(all + (1 + slots) * n, net->weights->statistics, s * sizeof *all);
    *bytes = (n * (1 + slots) + s) * sizeof *all;
    return all;
}

/* The images of all ranks end to end: rank r's begin after those of the ranks before. */
static struct batch all_images(const struct net *net, const int32_t *counts, int ranks, int k)
{
    int32_t total = 0;
    for (int i = 0; i < ranks; i++)
        total += counts[i];
    return make_batch(net->graph, total + 1, 40 + (uint64_t)k);
}

/* Step k of a rank that has images [first, first + count) of `all`. */
static int step_on(struct net *net, const struct batch *all, int32_t first, int32_t count, int k, int ranks, int status,
                   const struct sl_train_hooks *hooks, float *update, struct sl_train_result *result)
{
    const size_t image = sl_tensor_elements(&net->graph->layers[0].shape);
    const struct sl_train_input step = {
        .batch = {.images = all->images + (size_t)first * image,
                  .labels = all->labels + first,
                  .count = count,
                  .seed = 5,
                  .iteration = (uint64_t)k},
        .rate = 1e-2,
        .ranks = ranks,
        .status = status,
    };
    return sl_train(net->plan, net->updater, &step, hooks, update, result);
}

/* As rank `rank` sees its images. */
static void spoil(const struct job *job, int rank, const struct net *net, struct batch *all, int32_t first)
{
    const size_t image = sl_tensor_elements(&net->graph->layers[0].shape);
    if (rank == job->nan_rank)
        all->images[(size_t)first * image] = NAN;
    if (rank == job->wrong_rank)
        all->labels[first] = 99;
}

static void run_rank(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct member member = {group, job};
    struct net net;
    const struct sl_train_hooks hooks = hooks_of(&member);
    const int rank = group->rank;
    int32_t first = 0;
    size_t bytes;
    for (int i = 0; i < rank; i++)
        first += job->counts[i];
    open_net(&net, job->graph(), job->kind, MOST);
    float *update = malloc((size_t)net.weights->trained * sizeof *update), *before = snapshot(&net, &bytes);
    for (int k = 0; k < STEPS; k++) {
        struct batch all = all_images(&net, job->counts, group->size, k);
        spoil(job, rank, &net, &all, first);
        const int status = rank == job->failing_rank ? sl_fail(SL_BAD_DATA, "shard 3 is cut") : SL_OK;
        const int rc =
            step_on(&net, &all, first, job->counts[rank], k, group->size, status, &hooks, update, &job->results[rank]);
        assert_int_equal(rc, job->wanted);
        if (rc != SL_OK && !strstr(sl_last_error(), job->detail))
            fail_msg("rank %d: %s", rank, sl_last_error());
        free_batch(&all);
    }
    float *after = snapshot(&net, &bytes);
    if (job->wanted != SL_OK || job->results[rank].samples == 0)
        assert_memory_equal(before, after, bytes);
    job->weights[rank] = after;
    free(before);
    free(update);
    net_close(&net);
}

static struct job job_of(enum sharing sharing, enum sl_updater_kind kind, const int32_t *counts)
{
    return (struct job){.sharing = sharing,
                        .graph = plain_graph,
                        .kind = kind,
                        .counts = counts,
                        .nan_rank = -1,
                        .failing_rank = -1,
                        .wrong_rank = -1};
}

static void run_job(struct job *job, int ranks)
{
    thread_group_run(ranks, run_rank, job);
}

static void close_job(struct job *job)
{
    for (int i = 0; i < THREAD_RANKS; i++)
        free(job->weights[i]);
}

/* ---- together ---- */

static const int32_t evenly[8] = {3, 3, 3, 3, 3, 3, 3, 3}, unevenly[8] = {5, 0, 2, 6, 0, 1, 4, 3};

/* One process that has the images of all. */
static void compare_with_alone(const struct job *job, int ranks)
{
    struct net net;
    struct sl_train_result result;
    int32_t total = 0;
    for (int i = 0; i < ranks; i++)
        total += job->counts[i];
    open_net(&net, job->graph(), job->kind, total);
    for (int k = 0; k < STEPS; k++) {
        struct batch all = all_images(&net, job->counts, ranks, k);
        MUST(step_on(&net, &all, 0, total, k, 0, SL_OK, NULL, NULL, &result));
        free_batch(&all);
    }
    for (int64_t i = 0; i < net.weights->trained; i++)
        assert_float_equal(job->weights[0][i], net.weights->values[i], 1e-6);
    assert_int_equal(job->results[0].samples, total);
    assert_float_equal(job->results[0].loss, result.loss, 1e-6);
    assert_float_equal(job->results[0].score, result.score, 1e-6);
    assert_float_equal(job->results[0].loss_sum, result.loss_sum, 1e-5);
    net_close(&net);
}

/* A mean of gradients, and as SGD is linear, a mean of updates too. */
static void ranks_equal_one_large_batch(void **state)
{
    (void)state;
    static const int worlds[] = {1, 2, 3, 8};
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++)
        for (int even = 0; even < 2; even++)
            for (int sharing = DENSE; sharing <= UPDATES; sharing++) {
                struct job job = job_of((enum sharing)sharing, SL_UPDATER_SGD, even ? evenly : unevenly);
                run_job(&job, worlds[w]);
                compare_with_alone(&job, worlds[w]);
                for (int i = 0; i < worlds[w]; i++) {
                    assert_memory_equal(&job.results[i], &job.results[0], sizeof *job.results);
                    assert_int_equal(job.votes[i], STEPS);
                    assert_int_equal(job.updates[i], sharing == UPDATES ? STEPS : 0);
                }
                close_job(&job);
            }
}

/* The parameters and, under a common gradient, what the updater remembers. */
static void replicas_hold_the_same_bits(void **state)
{
    (void)state;
    struct net net;
    open_net(&net, plain_graph(), SL_UPDATER_AMSGRAD, 1);
    const size_t n = (size_t)net.weights->trained;
    net_close(&net);
    for (int sharing = DENSE; sharing <= UPDATES; sharing++) {
        struct job job = job_of((enum sharing)sharing, SL_UPDATER_AMSGRAD, unevenly);
        run_job(&job, 8);
        for (int i = 1; i < 8; i++)
            assert_memory_equal(job.weights[i], job.weights[0], n * (sharing == DENSE ? 4 : 1) * sizeof(float));
        close_job(&job);
    }
}

static void nobody_has_images(void **state)
{
    (void)state;
    static const int32_t none[3];
    for (int sharing = DENSE; sharing <= UPDATES; sharing++) {
        struct job job = job_of((enum sharing)sharing, SL_UPDATER_AMSGRAD, none);
        job.graph = norm_graph;
        run_job(&job, 3);
        assert_int_equal(job.updates[0], 0);
        assert_true(job.results[2].loss == 0 && job.results[2].loss_sum == 0);
        close_job(&job);
    }
}

/* Its running statistics stay as they were while the others' move. */
static void a_rank_without_images_keeps_its_statistics(void **state)
{
    (void)state;
    static const int32_t counts[2] = {4, 0};
    struct net net;
    open_net(&net, norm_graph(), SL_UPDATER_AMSGRAD, 1);
    const size_t values = (size_t)net.weights->trained * 4, state_bytes = (size_t)net.weights->state * sizeof(float);
    struct job job = job_of(DENSE, SL_UPDATER_AMSGRAD, counts);
    job.graph = norm_graph;
    run_job(&job, 2);
    assert_memory_equal(job.weights[0], job.weights[1], values * sizeof(float));
    assert_memory_equal(job.weights[1] + values, net.weights->statistics, state_bytes);
    assert_memory_not_equal(job.weights[0] + values, net.weights->statistics, state_bytes);
    close_job(&job);
    net_close(&net);
}

/* ---- one of them has trouble ---- */

static void trouble_of_one_changes_nothing_on_any(void **state)
{
    (void)state;
    static const struct {
        int nan_rank, failing_rank, wrong_rank, wanted;
        const char *detail;
    } troubles[] = {
        {1, -1, -1, SL_NUMERICS, "is not finite at iteration"},
        {2, -1, -1, SL_NUMERICS, "on one of the ranks"},
        {-1, 2, -1, SL_BAD_DATA, "rank 2 on cat: shard 3 is cut"},
        {-1, 1, 0, SL_BAD_DATA, "rank 0 on ant: label 99"},
        {-1, -1, 2, SL_BAD_DATA, "rank 2 on cat: label 99"},
        {0, 1, -1, SL_BAD_DATA, "rank 1 on bee: shard 3 is cut"},
    };
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++)
        for (int sharing = DENSE; sharing <= UPDATES; sharing++) {
            struct job job = job_of((enum sharing)sharing, SL_UPDATER_AMSGRAD, evenly);
            job.graph = norm_graph;
            job.nan_rank = troubles[i].nan_rank;
            job.failing_rank = troubles[i].failing_rank;
            job.wrong_rank = troubles[i].wrong_rank;
            job.wanted = troubles[i].wanted;
            job.detail = troubles[i].detail;
            run_job(&job, 3);
            for (int rank = 0; rank < 3; rank++) {
                assert_int_equal(job.updates[rank], 0);
                assert_int_equal(job.votes[rank], STEPS);
            }
            close_job(&job);
        }
}

static int no_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    (void)part, (void)samples, (void)last;
    ++*(int *)self;
    return sl_fail(SL_IO, "the wire is cut");
}

static int no_vote(void *self, struct sl_vote *vote)
{
    (void)self, (void)vote;
    fail();
    return SL_OK;
}

/* Who cannot reach the others does not wait for them. */
static void a_cut_wire_ends_the_step(void **state)
{
    (void)state;
    struct net net;
    struct sl_train_result result;
    int calls = 0;
    size_t bytes;
    const struct sl_train_hooks hooks = {.gradient = no_gradient, .agree = no_vote, .self = &calls};
    open_net(&net, norm_graph(), SL_UPDATER_AMSGRAD, MOST);
    float *before = snapshot(&net, &bytes);
    struct batch batch = make_batch(net.graph, MOST, 1);
    MUST_FAIL(step_on(&net, &batch, 0, MOST, 0, 2, SL_OK, &hooks, NULL, &result), SL_IO, "the wire is cut");
    MUST_FAIL(step_on(&net, &batch, 0, 0, 0, 2, SL_OK, &hooks, NULL, &result), SL_IO, "the wire is cut");
    assert_int_equal(calls, 2);
    float *after = snapshot(&net, &bytes);
    assert_memory_equal(before, after, bytes);
    free(before);
    free(after);
    free_batch(&batch);
    net_close(&net);
}

/* ---- alone ---- */

static int leave_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    (void)self, (void)part, (void)samples, (void)last;
    return SL_OK;
}

static int leave_vote(void *self, struct sl_vote *vote)
{
    (void)self;
    return sl_group_vote(NULL, vote);
}

static int leave_update(void *self, struct sl_span update, uint64_t step)
{
    (void)self, (void)update, (void)step;
    return SL_OK;
}

static void hooks_that_do_nothing_change_no_bit(void **state)
{
    (void)state;
    const struct sl_train_hooks hooks = {leave_gradient, leave_vote, leave_update, NULL};
    struct net alone, hooked;
    struct sl_train_result result[2];
    size_t bytes;
    open_net(&alone, norm_graph(), SL_UPDATER_AMSGRAD, MOST);
    open_net(&hooked, norm_graph(), SL_UPDATER_AMSGRAD, MOST);
    float *update = malloc((size_t)hooked.weights->trained * sizeof *update);
    for (int k = 0; k < STEPS; k++) {
        struct batch batch = make_batch(alone.graph, MOST, (uint64_t)k);
        MUST(step_on(&alone, &batch, 0, 5, k, 0, SL_OK, NULL, NULL, &result[0]));
        MUST(step_on(&hooked, &batch, 0, 5, k, 1, SL_OK, &hooks, update, &result[1]));
        assert_memory_equal(&result[0], &result[1], sizeof *result);
        free_batch(&batch);
    }
    float *one = snapshot(&alone, &bytes), *other = snapshot(&hooked, &bytes);
    assert_memory_equal(one, other, bytes);
    free(one);
    free(other);
    free(update);
    net_close(&alone);
    net_close(&hooked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_equal_one_large_batch),
        cmocka_unit_test(replicas_hold_the_same_bits),
        cmocka_unit_test(nobody_has_images),
        cmocka_unit_test(a_rank_without_images_keeps_its_statistics),
        cmocka_unit_test(trouble_of_one_changes_nothing_on_any),
        cmocka_unit_test(a_cut_wire_ends_the_step),
        cmocka_unit_test(hooks_that_do_nothing_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
