/* A run that several ranks saved, and what goes on from it: with the same world the same bits, with another the sum of
 * what the ranks kept back, or its mean. */
#include <math.h>

#include "tests/flock_run.h"

/* 24 images in batches of 2: an epoch of 3 ranks is 4 steps. */
enum { RANKS = 3, EPOCH = 4, LAST = 5 * EPOCH + 2 };

/* What a checkpoint has to carry is there: a residual that was clipped, a threshold on the move, statistics. */
static struct flock_run run_of(const char *data, const char *exchange, const char *folder)
{
    struct flock_run run = flock_run_of(data, exchange, LAST);
    run.threshold.initial = 1e-3;
    run.threshold.cap = 1;
    run.threshold.min_density = 0.02;
    run.threshold.max_density = 0.05;
    run.clip_multiple = 1;
    run.clip_every = 3;
    snprintf(run.folder, sizeof run.folder, "%s", at(folder));
    return run;
}

static void resume_after(const char *data, const char *exchange, uint64_t step)
{
    char folder[64];
    snprintf(folder, sizeof folder, "%s-%d", exchange, (int)step);
    struct flock_run whole = run_of(data, exchange, folder), first = whole, second = whole;
    first.steps = first.save_at = step;
    second.resume = true;
    flock_train(&whole, RANKS);
    flock_train(&first, RANKS);
    assert_int_equal(first.position[0].iteration, step);
    flock_train(&second, RANKS);
    assert_same_runs(&whole, &second, RANKS);
    assert_true(memcmp(whole.state[0], first.state[0], whole.bytes) != 0);
    flock_forget(&whole);
    flock_forget(&first);
    flock_forget(&second);
}

static void resumed_is_unbroken(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        resume_after(data, sl_exchange_at(i)->name, 2 * EPOCH + 3); /* in the middle of an epoch */
        resume_after(data, sl_exchange_at(i)->name, 3 * EPOCH);     /* at its end, which nobody has turned yet */
        resume_after(data, sl_exchange_at(i)->name, 1);
    }
}

/* Else nobody would miss them in a checkpoint. */
static void the_threshold_moves_and_the_clip_clips(void **state)
{
    (void)state;
    const char *data = flock_data();
    struct flock_run clipped = run_of(data, "threshold", "run"), free_of_clip = clipped;
    double tau;
    free_of_clip.clip_multiple = 0;
    flock_train(&clipped, RANKS);
    flock_train(&free_of_clip, RANKS);
    memcpy(&tau, clipped.state[1] + 2 * clipped.parameters * sizeof(float), sizeof tau);
    assert_true(tau > 1.1 * clipped.threshold.initial);
    assert_true(memcmp(clipped.state[1], free_of_clip.state[1], clipped.bytes) != 0);
    flock_forget(&clipped);
    flock_forget(&free_of_clip);
}

/* ---- Another world ---- */

static const float *kept_of(const struct flock_run *run, int rank)
{
    return flock_values(run, rank) + run->parameters;
}

/* The sums over the ranks are the same, or with `mean` the means. */
static void assert_conserved(const struct flock_run *before, const struct flock_run *after, int size, bool mean)
{
    double all = 0.0;
    for (size_t k = 0; k < before->parameters; k++) {
        double then = 0.0, now = 0.0, most = 0.0;
        for (int r = 0; r < RANKS; r++) {
            then += (double)kept_of(before, r)[k];
            most += fabs((double)kept_of(before, r)[k]);
        }
        for (int r = 0; r < size; r++)
            now += (double)kept_of(after, r)[k];
        if (mean) {
            then /= RANKS;
            now /= size;
        }
        assert_true(fabs(then - now) <= 4 * 0x1p-24 * most);
        all += most;
    }
    assert_true(all > 0);
}

static void change_world(const char *data, const char *exchange, enum sl_combine combine, int size)
{
    char folder[64];
    snprintf(folder, sizeof folder, "%s-%d-%d", exchange, (int)combine, size);
    struct flock_run first = run_of(data, exchange, folder), taken, second;
    first.combine = combine;
    first.save_at = first.steps = EPOCH + 2;
    taken = second = first;
    taken.save_at = second.save_at = 0;
    taken.resume = second.resume = true;
    second.steps = LAST + 40;
    second.hash_every = 1;
    flock_train(&first, RANKS);
    flock_train(&taken, size); /* nothing but taken up */
    assert_memory_equal(taken.state[0], first.state[0], first.parameters * sizeof(float));
    assert_memory_equal(&taken.position[0], &first.position[0], sizeof *first.position);
    if (!strcmp(exchange, "threshold"))
        assert_conserved(&first, &taken, size, combine == SL_COMBINE_MEAN);
    flock_train(&second, size);
    assert_int_equal(second.position[0].iteration, LAST + 40);
    flock_forget(&first);
    flock_forget(&taken);
    flock_forget(&second);
}

static void another_world_goes_on(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 5, 8};
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            change_world(data, sl_exchange_at(i)->name, SL_COMBINE_MEAN, sizes[s]);
            if (!strcmp(sl_exchange_at(i)->name, "threshold"))
                change_world(data, "threshold", SL_COMBINE_SUM, sizes[s]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOCK_CASE(the_threshold_moves_and_the_clip_clips),
        FLOCK_CASE(resumed_is_unbroken),
        FLOCK_CASE(another_world_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
