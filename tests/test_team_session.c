/* Training by ranks that sum within their nodes first, over a fake NCCL: it learns what ranks learn that are nodes
 * each, and goes on after a break, with the same nodes in the same bits, with others without losing what was kept back.
 */
#include <math.h>

#include "tests/fake_node.h"
#include "tests/flock_run.h"

enum { RANKS = 4, STEPS = 20, BROKEN_AT = 9 };

static int ranks_now;

static int two_to_a_host(void *self, int *numbers)
{
    (void)self;
    for (int i = 0; i < ranks_now; i++)
        numbers[i] = i / 2;
    return SL_OK;
}

static int all_on_one(void *self, int *numbers)
{
    (void)self;
    memset(numbers, 0, (size_t)ranks_now * sizeof *numbers);
    return SL_OK;
}

static struct flock_run run_of(const char *data, const char *exchange, int (*hosts)(void *, int *))
{
    struct flock_run run = flock_run_of(data, exchange, STEPS);
    run.hash_every = 5;
    run.hosts = hosts;
    snprintf(run.folder, sizeof run.folder, "%s", at(exchange));
    return run;
}

static void train(struct flock_run *run, int ranks)
{
    ranks_now = ranks;
    *fake_node() = (struct fake_nccl){.fault = FAKE_GOOD};
    flock_train(run, ranks);
    assert_int_equal(fake_node()->wrong, 0);
}

/* The distance of the parameters, beside their length. */
static double distance(const struct flock_run *a, const struct flock_run *b)
{
    double difference = 0.0, length = 0.0;
    assert_true(a->parameters == b->parameters);
    for (size_t i = 0; i < a->parameters; i++) {
        const double x = (double)flock_values(a, 0)[i], y = (double)flock_values(b, 0)[i];
        difference += (x - y) * (x - y);
        length += y * y;
    }
    return sqrt(difference / length);
}

/* flock_train compares the ranks. Sums in another order round otherwise; a node's residual sends otherwise. */
static void nodes_learn_what_ranks_learn(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run apart = run_of(data, sl_exchange_at(i)->name, NULL), joined = apart, one = apart;
        joined.hosts = two_to_a_host;
        one.hosts = all_on_one;
        train(&apart, RANKS);
        train(&joined, RANKS);
        train(&one, RANKS);
        const double most = sl_exchange_at(i) == &sl_exchange_threshold ? 0.2 : 1e-5;
        assert_true(distance(&joined, &apart) < most && distance(&one, &apart) < most);
        flock_forget(&apart);
        flock_forget(&joined);
        flock_forget(&one);
    }
}

static void the_same_nodes_go_on_bit_for_bit(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run whole = run_of(data, sl_exchange_at(i)->name, two_to_a_host), first = whole, second = whole;
        first.steps = first.save_at = BROKEN_AT;
        second.resume = true;
        train(&whole, RANKS);
        train(&first, RANKS);
        train(&second, RANKS);
        assert_same_runs(&whole, &second, RANKS);
        flock_forget(&whole);
        flock_forget(&first);
        flock_forget(&second);
    }
}

/* ---- other nodes ---- */

/* From a checkpoint of two nodes of two ranks: what is left is applied, and nothing else. */
static void flush_with(const struct flock_run *saved, int ranks, int (*hosts)(void *, int *), struct flock_run *after)
{
    *after = *saved;
    memset(after->state, 0, sizeof after->state);
    after->hosts = hosts;
    after->save_at = 0;
    after->resume = after->flush = true;
    train(after, ranks);
}

static void other_nodes_lose_nothing(void **state)
{
    (void)state;
    const char *data = flock_data();
    static const struct {
        int ranks;
        int (*hosts)(void *, int *);
    } others[] = {{RANKS, NULL}, {RANKS, all_on_one}, {3, two_to_a_host}, {2, NULL}, {6, two_to_a_host}};
    for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++) {
        struct flock_run saved = run_of(data, "threshold", two_to_a_host), wanted, got;
        saved.combine = (enum sl_combine)combine;
        saved.steps = saved.save_at = BROKEN_AT;
        snprintf(saved.folder, sizeof saved.folder, "%s", at(combine ? "sum" : "mean"));
        train(&saved, RANKS);
        flush_with(&saved, RANKS, two_to_a_host, &wanted);
        assert_true(distance(&wanted, &saved) > 1e-4);
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            flush_with(&saved, others[i].ranks, others[i].hosts, &got);
            assert_true(distance(&got, &wanted) < 1e-7);
            flock_forget(&got);
        }
        flock_forget(&wanted);
        flock_forget(&saved);
    }
}

/* And train on: who was no speaker knows the threshold of its node. */
static void other_nodes_go_on_from_the_threshold(void **state)
{
    (void)state;
    const char *data = flock_data();
    struct flock_run saved = run_of(data, "threshold", two_to_a_host);
    double tau[RANKS];
    saved.steps = saved.save_at = BROKEN_AT;
    train(&saved, RANKS);
    for (int r = 0; r < RANKS; r++)
        memcpy(&tau[r], saved.state[r] + 2 * saved.parameters * sizeof(float), sizeof *tau);
    assert_true(tau[0] > 0.0 && tau[1] == tau[0] && tau[3] == tau[2]);
    struct flock_run apart = saved;
    memset(apart.state, 0, sizeof apart.state);
    apart.hosts = NULL;
    apart.save_at = 0;
    apart.resume = true;
    apart.steps = STEPS;
    train(&apart, RANKS);
    flock_forget(&saved);
    flock_forget(&apart);
}

static int set_up(void **state)
{
    fake_node_use(state);
    return enter(state);
}

#define TEAM_CASE(name) cmocka_unit_test_setup_teardown(name, set_up, leave)

int main(void)
{
    enum { SKIPPED = 77 };
    const struct CMUnitTest tests[] = {
        TEAM_CASE(nodes_learn_what_ranks_learn),
        TEAM_CASE(the_same_nodes_go_on_bit_for_bit),
        TEAM_CASE(other_nodes_lose_nothing),
        TEAM_CASE(other_nodes_go_on_from_the_threshold),
    };
#ifndef SL_FAKE_NCCL
    print_message("skipped: no nccl.h was found, so there is no plug-in to test\n");
    return SKIPPED;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
