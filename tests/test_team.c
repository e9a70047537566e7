/* Exchanges of ranks that sum within their nodes first, over a fake NCCL: the same bits everywhere, those that one rank
 * to a node would have that learned the node's sum, nothing lost; and who is named where one of them is gone. */
#include "kernels/threshold/threshold.h"
#include "tests/apart_device.h"
#include "tests/exchange_fixture.h"
#include "tests/fake_node.h"
#include "tests/watched_ranks.h"

/* Which host each rank is on. */
struct layout {
    int ranks, nodes;
    int hosts[RANKS_MOST];
};

static const struct layout layouts[] = {
    {4, 2, {0, 0, 1, 1}}, {4, 1, {0, 0, 0, 0}},       {3, 2, {0, 0, 1}},
    {5, 2, {0, 1, 0, 1}}, {6, 3, {0, 1, 1, 2, 0, 1}}, {3, 3, {0, 1, 2}},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts, STEPS = 20, PARAMETERS = SL_THRESHOLD_CHUNK + 1001 };

static const struct layout *here;
static int on_processor; /* the rank whose device is; -1: none */

static int hosts_of_layout(void *self, int *numbers)
{
    (void)self;
    memcpy(numbers, here->hosts, (size_t)here->ranks * sizeof *numbers);
    return SL_OK;
}

static void lay_out(struct sl_wire *wire, void *self)
{
    (void)self;
    wire->hosts = hosts_of_layout;
}

static void take_device(int rank, struct sl_device *device, void *self)
{
    (void)self;
    if (rank == on_processor)
        return;
    device->close(device->self);
    apart_device_open(device);
}

static int node_of(int rank)
{
    return here->hosts[rank];
}

/* Ranks of the node, and those of them before this one. */
static int count_mates(int rank, int *before)
{
    int count = 0;
    *before = 0;
    for (int i = 0; i < here->ranks; i++) {
        *before += i < rank && node_of(i) == node_of(rank);
        count += node_of(i) == node_of(rank);
    }
    return count;
}

static void check_team(const struct flock_rank *rank, const struct sl_team *team)
{
    int before;
    const int mates = count_mates(rank->number, &before);
    CHECK(team->ranks == here->ranks && team->nodes == here->nodes && !team->why[0]);
    CHECK(team->node.rank == before && team->node.size == mates);
    CHECK(sl_team_speaks(team) == (before == 0));
    CHECK(sl_team_joins(team) == (here->nodes < here->ranks));
    if (before == 0)
        CHECK(sl_comm_group(team->speakers)->size == here->nodes &&
              sl_comm_number(team->speakers, sl_comm_group(team->speakers)->rank) == rank->number);
}

static void fly_in_team(struct flock_rank *rank, void *self)
{
    struct sl_team team;
    CHECK_OK(sl_team_open(rank->comm, &rank->device, &team));
    check_team(rank, &team);
    rank->team = &team;
    flight_body(rank, self);
    CHECK_OK(sl_team_close(&team, SL_OK));
}

static void set_out(const struct layout *layout)
{
    here = layout;
    on_processor = -1;
    *fake_node() = (struct fake_nccl){.fault = FAKE_GOOD};
}

/* All ranks come to the end, with the same bits at every step. */
static void fly(const struct layout *layout, struct flight *flight)
{
    set_out(layout);
    flock_fly(layout->ranks,
              (struct flock){.body = fly_in_team, .self = flight, .wire = lay_out, .device = take_device});
    for (int r = 0; r < layout->ranks; r++) {
        if (flight->rc[r] != SL_OK)
            fail_msg("%s, rank %d: status %d: %s", flight->name, r, flight->rc[r], flight->text[r]);
        assert_memory_equal(flight->hashes[r], flight->hashes[0], sizeof *flight->hashes);
    }
    assert_int_equal(fake_node()->wrong, 0);
    assert_int_equal(fake_node()->aborted, 0);
}

/* ---- what they learn ---- */

static struct flight *new_flight_of(const char *name, enum sl_combine combine, int64_t n)
{
    struct flight *flight = flight_new(name, n, STEPS);
    flight->combine = combine;
    flight->clip_every = 4;
    flight->flush = true;
    return flight;
}

/* Of more than one chunk; and of few parameters, where many runs are made. */
static struct flight *new_flight(const char *name, enum sl_combine combine)
{
    return new_flight_of(name, combine, PARAMETERS);
}

static struct flight *new_few(const char *name, enum sl_combine combine)
{
    return new_flight_of(name, combine, 5003);
}

/* `fly` compares the ranks; here two runs. */
static void two_runs_have_the_same_bits(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++)
        for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++) {
            struct flight *runs[2];
            for (int i = 0; i < 2; i++) {
                runs[i] = new_few(sl_exchange_at(e)->name, (enum sl_combine)combine);
                runs[i]->clip_multiple = 5.0;
                fly(&layouts[4], runs[i]);
            }
            assert_memory_equal(runs[0]->hashes, runs[1]->hashes, sizeof runs[0]->hashes);
            assert_int_not_equal(runs[0]->hashes[0][0], runs[0]->hashes[0][1]);
            flight_free(runs[0]);
            flight_free(runs[1]);
        }
}

static void nothing_is_lost(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++)
        for (int l = 0; l < LAYOUTS; l++)
            for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++) {
                struct flight *flight = new_few(sl_exchange_at(e)->name, (enum sl_combine)combine);
                if (flight->name == sl_exchange_dense.name && combine == SL_COMBINE_SUM)
                    flight->combine = SL_COMBINE_MEAN; /* it knows no other */
                flight->flush = l % 2;
                fly(&layouts[l], flight);
                assert_true(flight_missing(flight, layouts[l].ranks) == 0.0);
                flight_free(flight);
            }
}

/* Two processors that each learn what two ranks of a node do. Where the mean over four ranks is half of that over two,
 * `weight` is what the sum within a node is multiplied by. */
static struct flight *fly_merged(const char *name, enum sl_combine combine, float weight)
{
    struct flight *flight = new_flight(name, combine);
    flight->clip_multiple = 5.0;
    flight->merged = 2;
    flight->weight = weight;
    flight_fly(flight, 2);
    return flight;
}

static void a_node_is_a_rank_that_learns_its_sum(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum sl_combine combine;
        float weight;
    } cases[] = {{"threshold", SL_COMBINE_SUM, 1.0f},
                 {"updates", SL_COMBINE_SUM, 1.0f},
                 {"updates", SL_COMBINE_MEAN, 0.5f},
                 {"dense", SL_COMBINE_MEAN, 0.5f}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flight *merged = fly_merged(cases[i].name, cases[i].combine, cases[i].weight);
        struct flight *team = new_flight(cases[i].name, cases[i].combine);
        team->clip_multiple = 5.0;
        fly(&layouts[0], team);
        assert_memory_equal(team->hashes[0], merged->hashes[0], sizeof *team->hashes);
        assert_memory_equal(team->kept, merged->kept, (size_t)team->n * sizeof *team->kept);
        flight_free(merged);
        flight_free(team);
    }
}

/* The residuals are the same, and the weights lose half of it: the mean is over four ranks. */
static void the_mean_is_over_the_ranks(void **state)
{
    (void)state;
    struct flight *merged = fly_merged("threshold", SL_COMBINE_MEAN, 1.0f);
    struct flight *team = new_flight("threshold", SL_COMBINE_MEAN);
    team->clip_multiple = 5.0;
    fly(&layouts[0], team);
    for (int64_t i = 0; i < team->n; i++)
        assert_true(2.0 * team->applied[i] == merged->applied[i]);
    flight_free(merged);
    flight_free(team);
}

static void a_broken_run_goes_on_bit_for_bit(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++) {
        struct flight *whole = new_flight(sl_exchange_at(e)->name, SL_COMBINE_MEAN);
        struct flight *broken = new_flight(sl_exchange_at(e)->name, SL_COMBINE_MEAN);
        whole->clip_multiple = broken->clip_multiple = 5.0;
        broken->break_at = 13;
        fly(&layouts[4], whole);
        fly(&layouts[4], broken);
        assert_memory_equal(whole->hashes, broken->hashes, sizeof whole->hashes);
        flight_free(whole);
        flight_free(broken);
    }
}

static void speakers_alone_send(void **state)
{
    (void)state;
    for (size_t e = 0; sl_exchange_at(e); e++) {
        struct flight *flight = new_flight(sl_exchange_at(e)->name, SL_COMBINE_MEAN);
        fly(&layouts[0], flight);
        for (int r = 0; r < 4; r++) {
            const struct sl_exchange_report *report = &flight->reports[r][STEPS - 1];
            assert_true((report->sent > 0) == (r % 2 == 0));
            assert_int_equal(report->dense, 4 * (uint64_t)PARAMETERS); /* a ring of two nodes */
            assert_true(report->density == flight->reports[0][STEPS - 1].density || r >= 2);
            assert_true(report->tau == flight->reports[r / 2 * 2][STEPS - 1].tau);
            assert_true(!report->form == (r % 2 == 1 || strcmp(flight->name, "threshold") != 0));
        }
        flight_free(flight);
    }
}

/* ---- samples ---- */

enum { FLOATS = 1000 };

static const int32_t samples[] = {32, 0, 7, 1, 5, 9};

static float gradient_of(int rank, int i)
{
    return flock_float((uint64_t)rank, 3, (uint64_t)i);
}

/* Parts come from the end; who has no samples has no numbers either. */
static void share_gradients(struct flock_rank *rank, void *self)
{
    float *means = self;
    struct sl_team team;
    void *exchange = NULL;
    float *at = flock_alloc(&rank->device, FLOATS), host[FLOATS];
    CHECK_OK(sl_team_open(rank->comm, &rank->device, &team));
    const struct sl_exchange_options options = {
        .comm = rank->comm, .team = &team, .device = &rank->device, .n = FLOATS};
    CHECK_OK(sl_exchange_dense.open(&options, &exchange));
    for (int i = 0; i < FLOATS; i++)
        host[i] = samples[rank->number] ? gradient_of(rank->number, i) : NAN;
    flock_copy(&rank->device, at, host, FLOATS);
    for (int end = FLOATS; end > 0; end -= 100)
        CHECK_OK(sl_exchange_dense.gradient(exchange, (struct sl_span){at + end - 100, 100}, samples[rank->number],
                                            end == 100));
    flock_copy(&rank->device, means + rank->number * FLOATS, at, FLOATS);
    sl_exchange_dense.close(exchange);
    rank->device.free(rank->device.self, at);
    CHECK_OK(sl_team_close(&team, SL_OK));
}

static void gradients_count_as_much_as_their_samples(void **state)
{
    (void)state;
    static float means[RANKS_MOST * FLOATS];
    for (int l = 0; l < LAYOUTS; l++) {
        int total = 0;
        set_out(&layouts[l]);
        flock_fly(here->ranks,
                  (struct flock){.body = share_gradients, .self = means, .wire = lay_out, .device = take_device});
        for (int r = 0; r < here->ranks; r++)
            total += samples[r];
        for (int i = 0; i < FLOATS; i++) {
            double mean = 0.0;
            for (int r = 0; r < here->ranks; r++)
                mean += (double)gradient_of(r, i) * samples[r] / total;
            assert_true(fabs((double)means[i] - mean) <= 1e-6);
        }
        for (int r = 1; r < here->ranks; r++)
            assert_memory_equal(means + r * FLOATS, means, FLOATS * sizeof *means);
    }
}

/* ---- who does not join ---- */

static void fly_apart(struct flock_rank *rank, void *self)
{
    struct sl_team team;
    CHECK_OK(sl_team_open(rank->comm, &rank->device, &team));
    CHECK(team.nodes == team.ranks && team.speakers == team.comm && !sl_team_joins(&team));
    pthread_mutex_lock(&rank_lock);
    snprintf(seen.words, sizeof seen.words, "%s", team.why);
    pthread_mutex_unlock(&rank_lock);
    rank->team = &team;
    flight_body(rank, self);
    CHECK_OK(sl_team_close(&team, SL_OK));
    CHECK_OK(sl_team_close(&team, SL_OK));
}

static void assert_apart(struct flight *flight)
{
    struct flight *plain = new_flight("threshold", SL_COMBINE_MEAN);
    flight_fly(plain, here->ranks);
    seen.words[0] = '\0';
    flock_fly(here->ranks, (struct flock){.body = fly_apart, .self = flight, .wire = lay_out, .device = take_device});
    assert_memory_equal(flight->hashes, plain->hashes, sizeof flight->hashes);
    flight_free(plain);
    flight_free(flight);
}

/* One rank of the host computes on its processor: none of that host join. */
static void a_host_joins_as_a_whole(void **state)
{
    (void)state;
    set_out(&layouts[1]);
    on_processor = 2;
    assert_apart(new_flight("threshold", SL_COMBINE_MEAN));
    assert_string_equal(seen.words, "");
}

static void without_nccl_every_rank_is_a_node(void **state)
{
    (void)state;
    set_out(&layouts[0]);
    setenv("SL_MODULE_PATH", "/nowhere", 1);
    assert_apart(new_flight("threshold", SL_COMBINE_MEAN));
    assert_said("there is no plug-in for NCCL");
}

/* ---- who is gone ---- */

enum { GONE_AT = 7 };

static struct gone {
    int rank;
    bool leaves; /* with a status; else it hangs */
} gone;

/* Steps of the exchange until the job is ended or this rank is. */
static int step_until_ended(struct flock_rank *rank, const struct sl_team *team, void *exchange, float *at)
{
    const struct sl_exchange_row *row = sl_exchange_find("threshold");
    int rc = SL_OK;
    for (uint64_t step = 0; rc == SL_OK && step < 1000; step++) {
        sl_comm_enter(rank->comm, SL_PHASE_TRAINING, step);
        if (rank->number == gone.rank && step == GONE_AT) {
            for (int i = 0; !gone.leaves && i < 200 && !has_ended(); i++)
                pause_for(0.05);
            return gone.leaves ? sl_fail(SL_BAD_DATA, "no more") : SL_IO;
        }
        rc = row->update(exchange, (struct sl_span){at, FLOATS}, step);
    }
    CHECK(rc == SL_IO && team->ranks == here->ranks);
    return rc;
}

static void train_until_ended(struct sl_wire *wire, void *self)
{
    (void)self;
    void *exchange = NULL;
    struct sl_team team;
    lay_out(wire, NULL);
    struct flock_rank rank = {.number = wire->rank, .size = wire->size, .comm = open_watched(wire, 0.6)};
    apart_device_open(&rank.device);
    CHECK_OK(sl_team_open(rank.comm, &rank.device, &team));
    const struct sl_exchange_options options = {
        .comm = rank.comm, .team = &team, .device = &rank.device, .n = FLOATS, .threshold = sl_threshold_defaults()};
    CHECK_OK(sl_exchange_threshold.open(&options, &exchange));
    float *at = flock_alloc(&rank.device, FLOATS);
    CHECK_OK(rank.device.fill(rank.device.self, at, 0, FLOATS * sizeof *at));
    const int rc = step_until_ended(&rank, &team, exchange, at);
    sl_exchange_threshold.close(exchange);
    CHECK_OK(sl_team_close(&team, rc));
    rank.device.free(rank.device.self, at);
    rank.device.close(rank.device.self);
    sl_comm_close(rank.comm, rc);
}

static void lose(const struct layout *layout, struct gone who, int code)
{
    char name[32];
    set_out(layout);
    gone = who;
    run_watched(layout->ranks, train_until_ended, NULL);
    snprintf(name, sizeof name, "rank %d on ", who.rank);
    assert_said(name);
    assert_int_equal(seen.code, code);
    assert_int_equal(fake_node()->destroyed, 0);
}

static void a_rank_that_hangs_is_named(void **state)
{
    (void)state;
    for (int rank = 0; rank < 3; rank++) {
        lose(&layouts[0], (struct gone){rank, false}, SL_IO);
        assert_said("in training, step 7");
    }
}

static void a_rank_that_fails_ends_the_job_with_its_status(void **state)
{
    (void)state;
    for (int rank = 0; rank < 3; rank++)
        lose(&layouts[0], (struct gone){rank, true}, SL_BAD_DATA);
}

#define TEAM_CASE(name) cmocka_unit_test_setup(name, fake_node_use)

int main(void)
{
    enum { SKIPPED = 77 };
    const struct CMUnitTest tests[] = {
        TEAM_CASE(two_runs_have_the_same_bits),
        TEAM_CASE(nothing_is_lost),
        TEAM_CASE(a_node_is_a_rank_that_learns_its_sum),
        TEAM_CASE(the_mean_is_over_the_ranks),
        TEAM_CASE(a_broken_run_goes_on_bit_for_bit),
        TEAM_CASE(speakers_alone_send),
        TEAM_CASE(gradients_count_as_much_as_their_samples),
        TEAM_CASE(a_host_joins_as_a_whole),
        TEAM_CASE(without_nccl_every_rank_is_a_node),
        TEAM_CASE(a_rank_that_hangs_is_named),
        TEAM_CASE(a_rank_that_fails_ends_the_job_with_its_status),
    };
#ifndef SL_FAKE_NCCL
    print_message("skipped: no nccl.h was found, so there is no plug-in to test\n");
    return SKIPPED;
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
