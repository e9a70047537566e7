/* Steps that are not like the others: one that is not finite, one without images, the last of an epoch; and what few
 * ranks learn beside what one process learns alone. */
#include <math.h>

#include "tests/flock_run.h"

/* ---- A step that is not finite ---- */

enum { BAD_AT = 9 };

struct badness {
    struct flock_member *member;
    char *before;
    size_t bytes;
    struct sl_position position;
    float *scale, sound;
    int refused;
};

/* Rank 1 finds a NaN in every pixel of its batch. */
static void spoil_batch(struct flock_member *m)
{
    struct badness *bad = &((struct badness *)m->run->self)[m->rank->number];
    struct sl_session *s = &m->session;
    if (s->position.iteration != BAD_AT)
        return;
    bad->before = member_new_state(m, &bad->bytes);
    bad->position = s->position;
    if (m->rank->number != 1)
        return;
    CHECK_OK(sl_loader_next(s->train, &s->batch));
    bad->scale = (float *)(uintptr_t)s->batch->scale;
    bad->sound = *bad->scale;
    *bad->scale = NAN;
}

static void check_refusal(struct flock_member *m, int rc)
{
    size_t bytes;
    struct badness *bad = &((struct badness *)m->run->self)[m->rank->number];
    char *now = member_new_state(m, &bytes);
    CHECK(rc == SL_NUMERICS);
    CHECK(strstr(sl_last_error(), "is not finite at iteration 9 on one of the ranks"));
    CHECK(m->session.position.iteration == BAD_AT);
    CHECK(!memcmp(&m->session.position, &bad->position, sizeof bad->position));
    CHECK(bytes == bad->bytes && !memcmp(now, bad->before, bytes));
    if (bad->scale)
        *bad->scale = bad->sound;
    bad->refused++;
    free(now);
}

static void all_leave_out_what_is_not_finite(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct badness bad[3] = {0};
        struct flock_run run = flock_run_of(data, sl_exchange_at(i)->name, 40);
        run.hash_every = 5;
        run.before = spoil_batch;
        run.refused = check_refusal;
        run.self = bad;
        flock_train(&run, 3);
        assert_int_equal(run.position[0].iteration, 40);
        for (size_t k = 0; k < run.parameters; k++)
            assert_true(isfinite(flock_values(&run, 0)[k]));
        for (int r = 0; r < 3; r++) {
            assert_int_equal(bad[r].refused, 1);
            free(bad[r].before);
        }
        flock_forget(&run);
    }
}

/* ---- Epochs ---- */

enum { EPOCHS = 3 };

struct seen {
    uint64_t samples;                        /* by the votes of rank 0 */
    int idle;                                /* steps of a rank without images */
    int times[FLOCK_CLASSES * FLOCK_IMAGES]; /* by key */
    char keys[FLOCK_CLASSES * FLOCK_IMAGES][64];
    int key_count;
};

static void count_key(struct seen *seen, const char *key)
{
    int i = 0;
    while (i < seen->key_count && strcmp(seen->keys[i], key) != 0)
        i++;
    if (i == seen->key_count)
        snprintf(seen->keys[seen->key_count++], sizeof *seen->keys, "%s", key);
    seen->times[i]++;
}

static void count_batch(struct flock_member *m, struct sl_vote *vote)
{
    struct seen *seen = m->run->self;
    const struct sl_batch *batch = m->session.batch;
    pthread_mutex_lock(&rank_lock);
    for (int32_t i = 0; i < batch->count; i++)
        count_key(seen, batch->keys[i]);
    seen->idle += batch->count == 0;
    pthread_mutex_unlock(&rank_lock);
    CHECK(vote->samples == (uint64_t)batch->count);
}

static void count_samples(struct flock_member *m, const struct sl_vote *vote)
{
    struct seen *seen = m->run->self;
    if (m->rank->number == 0)
        seen->samples += vote->samples;
}

/* 24 images in batches of 5 are 5 batches, the last of 4. */
static void every_image_comes_once_an_epoch(void **state)
{
    (void)state;
    static const struct {
        int size, steps, idle; /* of an epoch */
    } worlds[] = {{1, 5, 0}, {2, 3, 1}, {3, 2, 1}, {8, 1, 3}};
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++)
        for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
            struct seen seen = {0};
            struct flock_run run = flock_run_of(data, sl_exchange_at(i)->name, (uint64_t)worlds[w].steps * EPOCHS);
            run.batch = 5;
            run.hash_every = 1;
            run.vote = count_batch;
            run.voted = count_samples;
            run.self = &seen;
            flock_train(&run, worlds[w].size);
            assert_int_equal(seen.key_count, FLOCK_IMAGES);
            for (int k = 0; k < seen.key_count; k++)
                assert_int_equal(seen.times[k], EPOCHS);
            assert_int_equal(seen.samples, FLOCK_IMAGES * EPOCHS);
            assert_int_equal(seen.idle, worlds[w].idle * EPOCHS);
            assert_int_equal(run.position[0].samples, FLOCK_IMAGES);
            flock_forget(&run);
        }
}

/* ---- Beside one process alone ---- */

static double distance(const struct flock_run *a, const struct flock_run *b)
{
    double sum = 0.0;
    assert_true(a->parameters == b->parameters);
    for (size_t i = 0; i < a->parameters; i++) {
        const double gap = (double)flock_values(a, 0)[i] - (double)flock_values(b, 0)[i];
        sum += gap * gap;
    }
    return sqrt(sum);
}

static void one_rank_is_one_process(void **state)
{
    (void)state;
    static const char *const exact[] = {"dense", "updates"};
    const char *data = flock_data();
    for (int kind = SL_UPDATER_AMSGRAD; kind <= SL_UPDATER_SGD; kind++) {
        struct flock_run alone = flock_run_of(data, NULL, 30);
        alone.updater.kind = (enum sl_updater_kind)kind;
        flock_train_alone(&alone);
        for (int i = 0; i < 2; i++) {
            struct flock_run one = flock_run_of(data, exact[i], 30);
            one.updater.kind = alone.updater.kind;
            flock_train(&one, 1);
            assert_same_runs(&alone, &one, 1);
            flock_forget(&one);
        }
        flock_forget(&alone);
    }
}

/* Without batch norm a gradient is the mean over the samples, whoever has them: in the same order, 4 ranks with 3
 * images each, or 2 with 6, take the same steps as one process with 12; and with 8 also where an epoch's end leaves one
 * rank a short batch and the others none. */
static void few_ranks_are_a_larger_batch(void **state)
{
    (void)state;
    static const struct {
        int size;
        int32_t batch;
    } worlds[] = {{2, 6}, {4, 3}, {2, 9}, {3, 6}, {6, 3}};
    const char *data = flock_data();
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        struct flock_run start = flock_run_of(data, NULL, 0), alone, flock;
        start.updater.kind = SL_UPDATER_SGD;
        start.rate = "0.02";
        start.norm = false;
        start.batch = worlds[w].size * worlds[w].batch;
        alone = flock = start;
        alone.steps = flock.steps = 20;
        flock.exchange = "dense";
        flock.batch = worlds[w].batch;
        flock_train_alone(&start);
        flock_train_alone(&alone);
        flock_train(&flock, worlds[w].size);
        assert_int_equal(alone.position[0].epoch, flock.position[0].epoch);
        assert_true(distance(&alone, &flock) < 1e-5 * distance(&alone, &start));
        flock_forget(&start);
        flock_forget(&alone);
        flock_forget(&flock);
    }
}

static double train_with_threshold(const struct flock_run *alone, double tau, bool flush)
{
    struct flock_run one = *alone;
    memset(one.state, 0, sizeof one.state);
    one.exchange = "threshold";
    one.threshold.kind = SL_THRESHOLD_FIXED;
    one.threshold.initial = tau;
    one.threshold.cap = 1;
    one.clip_multiple = 0;
    one.flush = flush;
    flock_train(&one, 1);
    const double gap = distance(&one, alone);
    flock_forget(&one);
    return gap;
}

/* Nothing is lost on the way: a rank alone comes the nearer to the plain run the finer its threshold is, as long as
 * that is above most of what a step learns, and nearer still when it is given what it kept back. */
static void one_rank_with_a_threshold_comes_near(void **state)
{
    (void)state;
    static const double taus[] = {1e-2, 1e-3, 1e-4};
    const char *data = flock_data();
    struct flock_run start = flock_run_of(data, NULL, 0), alone;
    double last = INFINITY, last_flushed = INFINITY;
    start.updater.kind = SL_UPDATER_SGD;
    start.updater.momentum = 0;
    start.rate = "1e-3";
    start.norm = false;
    alone = start;
    alone.steps = 100;
    flock_train_alone(&start);
    flock_train_alone(&alone);
    const double way = distance(&start, &alone);
    for (size_t i = 0; i < sizeof taus / sizeof *taus; i++) {
        const double gap = train_with_threshold(&alone, taus[i], false) / way;
        const double flushed = train_with_threshold(&alone, taus[i], true) / way;
        assert_true(gap < last && flushed < last_flushed && flushed < gap / 4);
        last = gap;
        last_flushed = flushed;
    }
    assert_true(last < 0.1 && last_flushed < 0.01);
    flock_forget(&start);
    flock_forget(&alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOCK_CASE(all_leave_out_what_is_not_finite),
        FLOCK_CASE(every_image_comes_once_an_epoch),
        FLOCK_CASE(one_rank_is_one_process),
        FLOCK_CASE(few_ranks_are_a_larger_batch),
        FLOCK_CASE(one_rank_with_a_threshold_comes_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
