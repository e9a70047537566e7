/* Runs of training by several ranks: begun, saved, resumed, and looked at when all have ended. */
#ifndef SL_TESTS_FLOCK_RUN_H
#define SL_TESTS_FLOCK_RUN_H

#include "tests/apart_device.h"
#include "tests/flock_session.h"
#include "tests/strict_device.h"

/* ---- A rank ---- */

static inline int member_save(struct flock_member *m)
{
    int rc = SL_OK;
    struct sl_store *store = NULL;
    if (m->rank->number == 0)
        rc = sl_store_open(m->run->folder, 3, &store);
    SL_TRY(sl_group_settle(m->session.options.group, rc));
    SL_TRY(sl_session_save(&m->session, store));
out:
    sl_store_close(store);
    return rc;
}

static inline int member_resume(struct flock_member *m)
{
    int rc = SL_OK;
    struct sl_checkpoint checkpoint = {0};
    SL_TRY(sl_store_load_together(m->session.options.group, m->run->folder, NULL, NULL, &checkpoint));
    SL_TRY(sl_session_resume(&m->session, &checkpoint, NULL, NULL));
out:
    sl_checkpoint_close(&checkpoint);
    return rc;
}

static inline int member_compare(struct flock_member *m)
{
    const struct sl_session *s = &m->session;
    return sl_agree_tensors(s->options.group, &s->device, m->agreed, m->tensor_count, &m->run->hash[m->rank->number]);
}

static inline int member_step(struct flock_member *m)
{
    int rc = SL_OK;
    struct sl_session_result result;
    struct sl_session *s = &m->session;
    const struct flock_run *run = m->run;
    if (sl_session_epoch_trained(s))
        sl_session_next_epoch(s);
    if (m->rank->comm)
        sl_comm_enter(m->rank->comm, SL_PHASE_TRAINING, s->position.iteration);
    if (run->before)
        run->before(m);
    rc = sl_session_step(s, &result);
    if (rc != SL_OK && run->refused) {
        run->refused(m, rc);
        sl_session_skip(s);
        rc = SL_OK;
    }
    SL_TRY(rc);
    if (run->hash_every && s->position.iteration % run->hash_every == 0)
        SL_TRY(member_compare(m));
    if (run->save_at && s->position.iteration == run->save_at)
        SL_TRY(member_save(m));
out:
    return rc;
}

static inline int member_train(struct flock_member *m)
{
    int rc = SL_OK;
    const struct flock_run *run = m->run;
    SL_TRY(member_open(m));
    if (run->resume)
        SL_TRY(member_resume(m));
    while (!m->stop && m->session.position.iteration < run->steps)
        SL_TRY(member_step(m));
    if (run->flush && m->row->flush)
        SL_TRY(sl_session_apply(&m->session, member_flush, m));
    SL_TRY(member_compare(m));
out:
    return rc;
}

static inline void member_run(struct flock_rank *rank, void *self)
{
    struct flock_run *run = self;
    struct flock_member m = {.run = run, .rank = rank};
    const int rc = member_train(&m);
    run->rc[rank->number] = rc;
    run->position[rank->number] = m.session.position;
    snprintf(run->text[rank->number], sizeof *run->text, "%s", rc == SL_OK ? "" : sl_last_error());
    if (m.session.weights) {
        size_t bytes;
        run->state[rank->number] = member_new_state(&m, &bytes);
        if (rank->number == 0) {
            run->parameters = (size_t)m.session.weights->trained;
            run->bytes = bytes;
        }
    }
    member_close(&m);
}

static inline void member_start(struct flock_rank *rank, void *self)
{
    const struct flock_run *run = self;
    struct sl_team team = {0};
    if (run->hosts) {
        CHECK_OK(sl_team_open(rank->comm, &rank->device, &team));
        CHECK(sl_team_joins(&team));
        rank->team = &team;
    }
    member_run(rank, self);
    CHECK_OK(sl_team_close(&team, run->rc[rank->number]));
}

/* ---- All ranks ---- */

static inline void flock_device(int rank, struct sl_device *device, void *self)
{
    const struct flock_run *run = self;
    if (run->hosts) {
        device->close(device->self);
        apart_device_open(device);
    }
    if (run->threads[rank] > 1) {
        device->close(device->self);
        if (sl_device_cpu_open(run->threads[rank], device) != SL_OK)
            abort();
    }
    if (run->strict && run->strict == rank) {
        device->close(device->self);
        strict_device_open(1, device);
    }
    if (run->isa[rank])
        device->isa &= run->isa[rank];
}

static inline void flock_wire(struct sl_wire *wire, void *self)
{
    const struct flock_run *run = self;
    wire->hosts = run->hosts ? run->hosts : wire->hosts;
}

/* All ranks run; what comes of them is in `run`, which flock_forget frees. */
static inline void flock_try(struct flock_run *run, int size)
{
    flock_fly(size, (struct flock){.body = member_start, .self = run, .wire = flock_wire, .device = flock_device});
}

static inline void flock_forget(struct flock_run *run)
{
    for (int r = 0; r < RANKS_MOST; r++) {
        free(run->state[r]);
        run->state[r] = NULL;
    }
}

/* All come to the end, at one position and with the same parameters. */
static inline void flock_train(struct flock_run *run, int size)
{
    flock_try(run, size);
    for (int r = 0; r < size; r++) {
        if (run->rc[r] != SL_OK)
            fail_msg("%s, rank %d of %d: status %d: %s", run->exchange, r, size, run->rc[r], run->text[r]);
        assert_memory_equal(&run->position[r], &run->position[0], sizeof *run->position);
        assert_memory_equal(run->state[r], run->state[0], run->parameters * sizeof(float));
        assert_true(run->hash[r] == run->hash[0]);
    }
}

/* Without a group. */
static inline void flock_train_alone(struct flock_run *run)
{
    struct flock_rank rank = {.size = 1};
    assert_ok(sl_device_cpu_open(1, &rank.device));
    member_start(&rank, run);
    rank.device.close(rank.device.self);
    if (run->rc[0] != SL_OK)
        fail_msg("alone: status %d: %s", run->rc[0], run->text[0]);
}

static inline const float *flock_values(const struct flock_run *run, int rank)
{
    return (const float *)(const void *)run->state[rank];
}

/* Two runs ended with the same bits on every rank. */
static inline void assert_same_runs(const struct flock_run *a, const struct flock_run *b, int size)
{
    assert_true(a->bytes == b->bytes);
    for (int r = 0; r < size; r++) {
        assert_memory_equal(&a->position[r], &b->position[r], sizeof *a->position);
        assert_memory_equal(a->state[r], b->state[r], a->bytes);
    }
}

#define FLOCK_CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
#endif
