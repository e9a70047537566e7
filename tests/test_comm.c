/* Calls between 1, 2, 3 and 8 ranks of one process: what arrives, in which lengths, and what was sent. */
#include <stdlib.h>
#include <string.h>

#include "tests/rank_checks.h"

static void for_all_sizes(void (*body)(struct sl_wire *wire, void *self))
{
    static const int sizes[] = {1, 2, 3, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run_ranks(sizes[i], body, NULL);
}

static struct sl_comm *open_comm(struct sl_wire *wire)
{
    struct sl_comm *comm = NULL;
    CHECK_OK(sl_comm_open(wire, &(struct sl_comm_options){0}, &comm));
    return comm;
}

static void transpose(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const int rank = sl_comm_group(comm)->rank, size = sl_comm_group(comm)->size;
    int send[RANKS_MOST], receive[RANKS_MOST];
    struct sl_request *request = NULL;
    const uint64_t before = sl_comm_bytes_sent(comm);
    for (int i = 0; i < size; i++)
        send[i] = 100 * rank + i;
    CHECK_OK(sl_comm_all_to_all(comm, send, receive, sizeof *send, &request));
    CHECK_OK(sl_comm_wait(comm, &request));
    CHECK(!request);
    for (int i = 0; i < size; i++)
        CHECK(receive[i] == 100 * i + rank);
    CHECK(sl_comm_bytes_sent(comm) - before == sizeof *send * (uint64_t)(size - 1));
    CHECK_OK(sl_comm_wait(comm, &request));
    sl_comm_close(comm, SL_OK);
}

static void each_part_goes_to_its_rank(void **state)
{
    (void)state;
    for_all_sizes(transpose);
}

/* Rank i brings 3 i bytes of the number i, rank 0 none at all. */
static void gather_unequal(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const int rank = sl_comm_group(comm)->rank, size = sl_comm_group(comm)->size;
    uint8_t mine[3 * RANKS_MOST], all[3 * RANKS_MOST * RANKS_MOST];
    size_t bytes[RANKS_MOST], at = 0;
    struct sl_request *request = NULL;
    const uint64_t before = sl_comm_bytes_sent(comm);
    for (int i = 0; i < size; i++)
        bytes[i] = 3 * (size_t)i;
    memset(mine, rank, sizeof mine);
    CHECK_OK(sl_comm_all_gather(comm, rank ? mine : NULL, all, bytes, &request));
    while (request)
        CHECK_OK(sl_comm_test(comm, &request));
    for (int i = 0; i < size; i++)
        for (size_t k = 0; k < bytes[i]; k++)
            CHECK(all[at++] == i);
    CHECK(sl_comm_bytes_sent(comm) - before == 3 * (uint64_t)rank * (uint64_t)(size - 1));
    sl_comm_close(comm, SL_OK);
}

static void unequal_parts_lie_end_to_end(void **state)
{
    (void)state;
    for_all_sizes(gather_unequal);
}

/* Calls may end in another order than they began. */
static void call_twice(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const int rank = sl_comm_group(comm)->rank, size = sl_comm_group(comm)->size;
    const int mine[2] = {rank, -rank};
    int all[2][RANKS_MOST];
    size_t bytes[RANKS_MOST];
    struct sl_request *requests[2] = {NULL, NULL};
    for (int i = 0; i < size; i++)
        bytes[i] = sizeof(int);
    for (int i = 0; i < 2; i++)
        CHECK_OK(sl_comm_all_gather(comm, &mine[i], all[i], bytes, &requests[i]));
    for (int i = 0; i < 2; i++)
        CHECK_OK(sl_comm_wait(comm, &requests[(i + rank) % 2]));
    for (int i = 0; i < size; i++)
        CHECK(all[0][i] == i && all[1][i] == -i);
    sl_comm_close(comm, SL_OK);
}

static void two_calls_may_be_on_their_way(void **state)
{
    (void)state;
    for_all_sizes(call_twice);
}

static void gather_texts(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const struct sl_group *group = sl_comm_group(comm);
    void *all = NULL;
    size_t offsets[RANKS_MOST + 1];
    for (int round = 0; round < 3; round++) {
        const size_t length = (size_t)((group->rank + round) % 3);
        CHECK_OK(group->gather_parts(group->self, "abc", length, &all, offsets));
        CHECK(offsets[0] == 0);
        for (int i = 0; i < group->size; i++) {
            CHECK(offsets[i + 1] - offsets[i] == (size_t)((i + round) % 3));
            CHECK(memcmp((char *)all + offsets[i], "abc", offsets[i + 1] - offsets[i]) == 0);
        }
        free(all);
        all = NULL;
    }
    sl_comm_close(comm, SL_OK);
}

static void parts_tell_their_lengths(void **state)
{
    (void)state;
    for_all_sizes(gather_texts);
}

static void announce_too_much(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const struct sl_group *group = sl_comm_group(comm);
    void *all = NULL;
    size_t offsets[RANKS_MOST + 1];
    CHECK(group->gather_parts(group->self, "abc", group->rank == 1 ? SIZE_MAX - 2 : 3, &all, offsets) == SL_IO);
    CHECK(!all && strstr(sl_last_error(), "rank 1 on "));
    sl_clear_error();
    CHECK(sl_group_settle(group, SL_OK) == SL_IO && strstr(sl_last_error(), "rank 1 on "));
    sl_comm_close(comm, SL_IO);
}

/* And whoever goes on in spite of it is told again. */
static void a_length_beyond_reason_is_refused_by_all(void **state)
{
    (void)state;
    run_ranks(3, announce_too_much, NULL);
}

static void agree(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const struct sl_group *group = sl_comm_group(comm);
    struct sl_vote vote = {.loss_sum = group->rank, .samples = 2, .stop = group->rank == 0};
    CHECK_OK(sl_group_vote(group, &vote));
    CHECK(vote.samples == 2 * (uint64_t)group->size && vote.stop && !vote.bad);
    CHECK(vote.loss_sum == group->size * (group->size - 1) / 2.0);
    const bool last = group->rank == group->size - 1;
    CHECK(sl_group_settle(group, last ? sl_fail(SL_NUMERICS, "too large") : SL_OK) == SL_NUMERICS);
    CHECK(strstr(sl_last_error(), "too large"));
    sl_comm_close(comm, SL_NUMERICS);
}

static void ranks_vote_and_settle(void **state)
{
    (void)state;
    for_all_sizes(agree);
}

/* Ranks 0, 1, 0, 1, ... of two hosts. */
static int two_hosts(void *self, int *hosts)
{
    (void)self;
    for (int i = 0; i < 3; i++)
        hosts[i] = i % 2;
    return SL_OK;
}

static void look_around(struct sl_wire *wire, void *self)
{
    (void)self;
    wire->hosts = two_hosts;
    struct sl_comm *comm = open_comm(wire);
    const struct sl_group *group = sl_comm_group(comm);
    CHECK(sl_comm_local_size(comm) == (group->rank == 1 ? 1 : 2));
    CHECK(sl_comm_local_rank(comm) == (group->rank == 2 ? 1 : 0));
    CHECK(sl_comm_wire(comm)->size == 3 && group->size == 3);
    for (int i = 0; i < 3; i++)
        CHECK(group->hosts[i][0] != '\0');
    sl_comm_close(comm, SL_OK);
}

static void ranks_know_their_hosts(void **state)
{
    (void)state;
    run_ranks(3, look_around, NULL);
}

/* Every second rank belongs to a part, then every third: each has calls of its own, while the others go on. */
static void call_in_parts(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const int rank = sl_comm_group(comm)->rank, size = sl_comm_group(comm)->size;
    int all[RANKS_MOST];
    for (int by = 2; by <= 3; by++) {
        struct sl_comm *part = NULL;
        CHECK_OK(sl_comm_split(comm, rank % by == 0, &part));
        CHECK(!part == (rank % by != 0));
        for (int round = 0; part && round < 3; round++) {
            const struct sl_group *group = sl_comm_group(part);
            CHECK(group->rank == rank / by && group->size == (size + by - 1) / by);
            CHECK_OK(group->gather(group->self, &rank, sizeof rank, all));
            for (int i = 0; i < group->size; i++)
                CHECK(all[i] == i * by && sl_comm_number(part, i) == i * by &&
                      group->hosts[i] == sl_comm_group(comm)->hosts[i * by]);
        }
        CHECK_OK(sl_comm_group(comm)->gather(comm, &rank, sizeof rank, all));
        for (int i = 0; i < size; i++)
            CHECK(all[i] == i && sl_comm_number(comm, i) == i);
        sl_comm_close_part(part);
    }
    sl_comm_close(comm, SL_OK);
}

static void parts_have_calls_of_their_own(void **state)
{
    (void)state;
    for_all_sizes(call_in_parts);
}

/* Nobody may belong to it. */
static void split_off_nobody(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire), *part = comm;
    CHECK_OK(sl_comm_split(comm, false, &part));
    CHECK(!part);
    sl_comm_close_part(part);
    sl_comm_close(comm, SL_OK);
}

static void a_part_may_be_empty(void **state)
{
    (void)state;
    run_ranks(3, split_off_nobody, NULL);
}

static void forget(void *self, const char *line)
{
    (void)self, (void)line;
}

static void call_differently(struct sl_wire *wire, void *self)
{
    struct sl_comm *comm = NULL;
    CHECK_OK(sl_comm_open(wire, &(struct sl_comm_options){.last_words = forget, .self = self}, &comm));
    const struct sl_group *group = sl_comm_group(comm);
    char mine[8] = "", all[16];
    CHECK(group->gather(group->self, mine, group->rank == 0 ? 4 : 8, all) != SL_OK);
    sl_comm_close(comm, SL_INTERNAL);
}

static void open_without_a_limit(struct sl_wire *wire, void *self)
{
    struct sl_comm *comm = NULL;
    const struct sl_comm_options options = {.step_limit = -1, .last_words = forget, .self = self};
    CHECK(sl_comm_open(wire, &options, &comm) == SL_BAD_CONFIG);
    CHECK(!comm && strstr(sl_last_error(), "-1 s for a step"));
}

static void faults_of_the_caller_are_refused(void **state)
{
    (void)state;
    run_ranks(2, call_differently, NULL);
    run_ranks(1, open_without_a_limit, NULL);
    run_ranks(2, open_without_a_limit, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_goes_to_its_rank),
        cmocka_unit_test(unequal_parts_lie_end_to_end),
        cmocka_unit_test(two_calls_may_be_on_their_way),
        cmocka_unit_test(parts_tell_their_lengths),
        cmocka_unit_test(a_length_beyond_reason_is_refused_by_all),
        cmocka_unit_test(ranks_vote_and_settle),
        cmocka_unit_test(ranks_know_their_hosts),
        cmocka_unit_test(parts_have_calls_of_their_own),
        cmocka_unit_test(a_part_may_be_empty),
        cmocka_unit_test(faults_of_the_caller_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
