/* Ranks that wait too long, for whom, and how they leave. */
#include "comm/timer.h"
#include "tests/watched_ranks.h"

static void assert_not_said(const char *text)
{
    if (strstr(seen.words, text))
        fail_msg("'%s' is in '%s'", text, seen.words);
}

static int gather_ranks(struct sl_comm *comm)
{
    const struct sl_group *group = sl_comm_group(comm);
    int all[RANKS_MOST];
    return group->gather(group->self, &group->rank, sizeof group->rank, all);
}

/* Rank 2 computes for ever: until the job has ended. */
static void be_late(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_watched(wire, 0.5);
    const bool late = wire->rank == 2;
    sl_comm_enter(comm, SL_PHASE_TRAINING, late ? 6 : 7);
    for (int i = 0; late && i < 200 && !has_ended(); i++)
        pause_for(0.05);
    CHECK(gather_ranks(comm) == SL_IO);
    CHECK(late || sl_comm_seconds_waited(comm) > 0.4);
    sl_comm_close(comm, SL_IO);
}

static void a_rank_that_does_not_come_is_named(void **state)
{
    (void)state;
    run_watched(3, be_late, NULL);
    assert_int_equal(seen.code, SL_IO);
    assert_said(" has waited 0.");
    assert_said(" in training, step 7, for rank 2 on ");
    assert_said(": in training, step 6, heard ");
    assert_not_said("; rank");
}

static int say_nothing(void *self, const struct sl_beat *mine)
{
    (void)self, (void)mine;
    return SL_OK;
}

/* Rank 0 is as patient as it is quiet, so that the others speak. */
static void be_silent(struct sl_wire *wire, void *self)
{
    (void)self;
    const int rank = wire->rank;
    if (rank == 0)
        wire->tell = say_nothing;
    struct sl_comm *comm = open_watched(wire, rank == 0 ? 15 : 1);
    sl_comm_enter(comm, SL_PHASE_TRAINING, 7);
    for (int i = 0; rank == 0 && i < 200 && !has_ended(); i++)
        pause_for(0.05);
    CHECK(gather_ranks(comm) == SL_IO);
    sl_comm_close(comm, SL_IO);
}

static void a_silent_rank_is_named(void **state)
{
    (void)state;
    run_watched(3, be_silent, NULL);
    assert_int_equal(seen.code, SL_IO);
    assert_said(", for rank 0 on ");
    assert_said(": never heard");
    assert_not_said("; rank");
}

static int never_done(void *self, struct sl_request *request, bool *done)
{
    (void)self, (void)request;
    *done = false;
    return has_ended() ? SL_IO : SL_OK;
}

static void lose_everything(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_watched(wire, 0.5);
    struct sl_request *request = NULL;
    int all[RANKS_MOST];
    size_t bytes[RANKS_MOST] = {4, 4, 4};
    const int rank = wire->rank;
    sl_comm_enter(comm, SL_PHASE_TRAINING, 3);
    CHECK_OK(sl_comm_all_gather(comm, &rank, all, bytes, &request));
    ((struct sl_wire *)sl_comm_wire(comm))->test = never_done;
    CHECK(sl_comm_wait(comm, &request) == SL_IO);
    sl_comm_close(comm, SL_IO);
}

static void nobody_is_blamed_for_the_wire(void **state)
{
    (void)state;
    run_watched(3, lose_everything, NULL);
    assert_int_equal(seen.code, SL_IO);
    assert_said("for no rank in particular");
}

/* Slow is not late; and saving has the other limit. */
static void be_slow(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_watched(wire, 0.6);
    sl_comm_enter(comm, SL_PHASE_TRAINING, 1);
    if (wire->rank == 1)
        pause_for(0.2);
    CHECK_OK(gather_ranks(comm));
    sl_comm_enter(comm, SL_PHASE_SAVING, 1);
    if (wire->rank == 1)
        pause_for(1);
    CHECK_OK(gather_ranks(comm));
    sl_comm_close(comm, SL_OK);
}

static void a_slow_rank_is_waited_for(void **state)
{
    (void)state;
    run_watched(3, be_slow, NULL);
    assert_int_equal(seen.ends, 0);
}

/* ---- leaving ---- */

static void leave_alone(struct sl_wire *wire, void *self)
{
    const int status = *(const int *)self;
    struct sl_comm *comm = open_watched(wire, 15);
    sl_comm_enter(comm, SL_PHASE_TRAINING, 5);
    if (wire->rank == 1) {
        sl_comm_close(comm, status);
        return;
    }
    CHECK(gather_ranks(comm) == SL_IO);
    sl_comm_close(comm, SL_IO);
}

/* It ends the job itself; or, if it left well although it was waited for, those who wait do. */
static void who_leaves_alone_is_not_waited_for(void **state)
{
    (void)state;
    run_watched(3, leave_alone, &(int){SL_BAD_DATA});
    assert_int_equal(seen.code, SL_BAD_DATA);
    assert_said("rank 1 on ");
    run_watched(3, leave_alone, &(int){SL_OK});
    assert_int_equal(seen.code, SL_IO);
    assert_said(", for rank 1 on ");
    assert_said("left with status 0 (success)");
}

/* Says goodbye, and dies before it can end the job. */
static void die_leaving(struct sl_wire *wire, void *self)
{
    (void)self;
    int (*const tell)(void *self, const struct sl_beat *mine) = wire->tell;
    const struct sl_beat last = {.count = 1000, .phase = SL_PHASE_LEAVING, .status = SL_BAD_DATA};
    const bool dies = wire->rank == 1;
    if (dies)
        wire->tell = say_nothing;
    struct sl_comm *comm = open_watched(wire, 15);
    if (dies)
        CHECK_OK(tell(wire->self, &last));
    for (int i = 0; dies && i < 200 && !has_ended(); i++)
        pause_for(0.05);
    CHECK(gather_ranks(comm) == SL_IO);
    sl_comm_close(comm, SL_IO);
}

static void a_failure_is_handed_on_by_those_who_heard_it(void **state)
{
    (void)state;
    run_watched(2, die_leaving, NULL);
    assert_int_equal(seen.code, SL_BAD_DATA);
    assert_said("for rank 1 on ");
    assert_said("left with status 65 (bad input data)");
}

struct leaving {
    int order[3], status;
    void (*close)(struct sl_comm *comm, int rc);
};

static void leave_in_order(struct sl_wire *wire, void *self)
{
    const struct leaving *leaving = self;
    struct sl_comm *comm = open_watched(wire, 15);
    CHECK_OK(gather_ranks(comm));
    pause_for(0.05 * leaving->order[wire->rank]);
    leaving->close(comm, leaving->status);
}

static void ranks_leave_together_in_any_order(void **state)
{
    (void)state;
    static const int orders[][3] = {{0, 0, 0}, {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const int statuses[] = {SL_OK, SL_PREEMPTED, SL_NUMERICS};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        for (size_t s = 0; s < sizeof statuses / sizeof *statuses; s++) {
            struct leaving leaving = {.status = statuses[s], .close = sl_comm_close};
            memcpy(leaving.order, orders[i], sizeof leaving.order);
            run_watched(3, leave_in_order, &leaving);
            assert_int_equal(seen.ends, 0);
        }
}

/* Longer than the grace: it may write a checkpoint. */
static void a_shared_failure_waits_for_who_is_not_ready(void **state)
{
    (void)state;
    struct leaving leaving = {.order = {14, 0, 0}, .status = SL_PREEMPTED, .close = sl_comm_close_together};
    run_watched(3, leave_in_order, &leaving);
    assert_int_equal(seen.ends, 0);
    leaving.close = sl_comm_close;
    run_watched(3, leave_in_order, &leaving);
    assert_int_equal(seen.code, SL_PREEMPTED);
    assert_said(" in leaving, step 0, for rank 0 on ");
    assert_not_said("left with");
}

/* Rank 1 has begun a call that the others never make. */
static void leave_a_call_open(struct sl_wire *wire, void *self)
{
    struct sl_comm *comm = open_watched(wire, 15);
    struct sl_request *request = NULL;
    const size_t bytes[RANKS_MOST] = {1, 1, 1};
    char all[3];
    if (wire->rank == 1)
        CHECK_OK(sl_comm_all_gather(comm, "x", all, bytes, &request));
    sl_comm_close(comm, *(const int *)self);
}

static void a_call_that_nobody_ends_ends_the_job(void **state)
{
    (void)state;
    run_watched(3, leave_a_call_open, &(int){SL_DISAGREE});
    assert_int_equal(seen.code, SL_DISAGREE);
    run_watched(3, leave_a_call_open, &(int){SL_OK});
    assert_int_equal(seen.code, SL_INTERNAL);
}

/* Some may still be opening when it comes. */
static void end_at_once(struct sl_wire *wire, void *self)
{
    struct sl_comm *comm = NULL;
    const struct sl_comm_options options = {.last_words = note_words, .self = self};
    const int rank = wire->rank;
    int rc = sl_comm_open(wire, &options, &comm);
    if (rank == 2)
        wire->abort(wire->self, SL_DISAGREE);
    rc = rc == SL_OK ? gather_ranks(comm) : rc;
    CHECK(rc == SL_IO && strstr(sl_last_error(), "status 76"));
    sl_comm_close(comm, SL_DISAGREE);
}

static void an_abort_wakes_everybody(void **state)
{
    (void)state;
    run_watched(8, end_at_once, NULL);
}

/* ---- the timer ---- */

static bool count_to_three(void *self)
{
    return ++*(int *)self < 3;
}

static void a_timer_calls_until_it_is_told_not_to(void **state)
{
    (void)state;
    int calls = 0;
    struct sl_timer *timer = NULL;
    assert_int_equal(sl_timer_open(0.01, count_to_three, &calls, &timer), SL_OK);
    pause_for(0.3);
    sl_timer_close(timer);
    assert_int_equal(calls, 3);
    assert_int_equal(sl_timer_open(1000.5, count_to_three, &calls, &timer), SL_OK);
    sl_timer_close(timer);
    assert_int_equal(calls, 3);
    assert_int_equal(sl_timer_deadline(1000, "nothing", &timer), SL_OK);
    sl_timer_close(timer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_that_does_not_come_is_named),
        cmocka_unit_test(a_silent_rank_is_named),
        cmocka_unit_test(nobody_is_blamed_for_the_wire),
        cmocka_unit_test(a_slow_rank_is_waited_for),
        cmocka_unit_test(who_leaves_alone_is_not_waited_for),
        cmocka_unit_test(a_failure_is_handed_on_by_those_who_heard_it),
        cmocka_unit_test(ranks_leave_together_in_any_order),
        cmocka_unit_test(a_shared_failure_waits_for_who_is_not_ready),
        cmocka_unit_test(a_call_that_nobody_ends_ends_the_job),
        cmocka_unit_test(an_abort_wakes_everybody),
        cmocka_unit_test(a_timer_calls_until_it_is_told_not_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
