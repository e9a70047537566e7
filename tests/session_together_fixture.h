/* A session of each rank of a thread group: saved together with numbers that tell the ranks apart, and loaded by a
 * world of any size. */
#ifndef SL_TESTS_SESSION_TOGETHER_FIXTURE_H
#define SL_TESTS_SESSION_TOGETHER_FIXTURE_H

#include "tests/data_fixture.h"

#include "runtime/prepare/invent.h"
#include "runtime/train/session.h"
#include "tests/session_net.h"
#include "tests/thread_outcome.h"

enum { BATCH = 5, CLASSES = 4, RANKS = 4, N = 6, STEP = 3 };

static char data[PATH_ROOM * 2];

/* 24 images to train on: an epoch of 5 batches. */
static inline void make_data(void)
{
    struct sl_dataset *dataset;
    const struct sl_invent_options sample = {CLASSES, 6, 1, 16, 1};
    snprintf(data, sizeof data, "%s", at("data"));
    assert_int_equal(mkdir(at("images"), 0700), 0);
    assert_ok(sl_invent_write(at("images"), &sample));
    const struct sl_prepare_options options = prepare_options(at("images"), data);
    assert_ok(sl_prepare(&options, &dataset));
    sl_dataset_close(dataset);
}

/* ---- A rank ---- */

struct job {
    char run[PATH_ROOM * 2];
    struct sl_store *store;         /* of rank 0 */
    const struct sl_device *device; /* NULL: the processor */
    const char *exchange;
    bool own_moments;
    struct sl_position position;
    int steps; /* to train */
    bool saves;
    uint64_t hash; /* of all that training changes */
    /* What a rank has, or got. */
    struct sl_session_array arrays[4];
    float *residual; /* on the device */
    float share[N], values[N];
    double tau;
    uint64_t counts[2];
    float moment, statistic;
    char told[1024];
};

static inline void note(void *self, const char *line)
{
    struct job *job = self;
    const size_t n = strlen(job->told);
    snprintf(job->told + n, sizeof job->told - n, "%s\n", line);
}

static inline int open_session(const struct sl_group *group, struct job *job, struct sl_session *session)
{
    int rc = SL_OK;
    void *memory = NULL;
    struct sl_session_options options = {.data = data,
                                         .batch_size = BATCH,
                                         .seed = 1,
                                         .device = job->device,
                                         .threads = 1,
                                         .memory_limit = 1 << 30,
                                         .updater = sl_updater_defaults(),
                                         .group = group};
    SL_TRY(sl_schedule_parse("0.001", &options.schedule));
    SL_TRY(sl_session_open(&options, build, NULL, session));
    SL_TRY(session->device.alloc(session->device.self, N * sizeof(float), &memory));
    job->residual = memory;
    const struct sl_session_array arrays[] = {
        {"residual", SL_F32, N, job->residual, true, SL_SESSION_SUM},
        {"share", SL_F32, N, job->share, false, SL_SESSION_MEAN},
        {"tau", SL_F64, 1, &job->tau, false, SL_SESSION_OWN},
        {"counts", SL_U64, 2, job->counts, false, SL_SESSION_SUM},
    };
    memcpy(job->arrays, arrays, sizeof arrays);
    session->exchange = job->exchange;
    session->own_moments = job->own_moments;
    session->arrays = job->exchange ? job->arrays : NULL;
    session->array_count = job->exchange ? 4 : 0;
out:
    return rc;
}

static inline void close_session(struct sl_session *session, struct job *job)
{
    if (session->device.free && job->residual)
        session->device.free(session->device.self, job->residual);
    job->residual = NULL;
    sl_session_close(session);
}

static inline float value_of(int rank, int k)
{
    return (float)(8 * rank) + 0.5f * (float)k;
}

static inline int to_device(const struct sl_session *session, float *at, const float *from, int64_t n)
{
    return session->device.copy(session->device.self, at, from, (size_t)n * sizeof *at);
}

static inline int from_device(const struct sl_session *session, const float *at, float *to, int64_t n)
{
    const int rc = session->device.sync(session->device.self);
    return rc == SL_OK ? session->device.copy(session->device.self, to, at, (size_t)n * sizeof *at) : rc;
}

/* Numbers that tell ranks apart, where ranks differ. */
static inline int fill(struct sl_session *session, struct job *job, int rank)
{
    int rc = SL_OK;
    const struct sl_weights *weights = session->weights;
    float *values = malloc((size_t)(weights->trained + weights->state) * sizeof *values);
    if (!values)
        SL_FAIL(SL_SYSTEM, "out of memory");
    for (int k = 0; k < N; k++)
        job->share[k] = value_of(rank, k);
    SL_TRY(to_device(session, job->residual, job->share, N));
    job->tau = 1 + rank;
    job->counts[0] = (uint64_t)rank + 1;
    job->counts[1] = UINT64_C(1) << 62;
    for (int64_t i = 0; i < weights->state; i++)
        values[i] = (float)rank + (float)i;
    SL_TRY(to_device(session, weights->statistics, values, weights->state));
    for (int32_t s = 0; s < session->updater->slots; s++) {
        for (int64_t i = 0; i < weights->trained; i++)
            values[i] = (float)(s + 1 + (job->own_moments ? 10 * rank : 0));
        SL_TRY(to_device(session, session->updater->state[s], values, weights->trained));
    }
    session->position = job->position;
    session->best = (struct sl_best){2, 0.5};
out:
    free(values);
    return rc;
}

static inline int save_body(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_session session = {0};
    int rc = open_session(group, job, &session);
    if (rc == SL_OK)
        rc = fill(&session, job, sl_group_rank(group));
    if (rc == SL_OK)
        rc = sl_session_save(&session, job->store);
    close_session(&session, job);
    return rc;
}

/* A session that was refused is as it was. */
static inline int check_untouched(const struct sl_session *session, const struct job *job, int rc)
{
    float first = 0;
    (void)from_device(session, job->residual, &first, 1);
    if (session->position.iteration || first != -1 || job->share[0] != -1 || job->tau != -1)
        return sl_fail(SL_INTERNAL, "refused, and changed: %s", sl_last_error());
    return rc;
}

static inline int load_body(const struct sl_group *group, void *self)
{
    int rc = SL_OK;
    struct job *job = self;
    struct sl_session session = {0};
    struct sl_checkpoint checkpoint = {0};
    job->told[0] = '\0';
    SL_TRY(open_session(group, job, &session));
    job->tau = -1;
    for (int k = 0; k < N; k++)
        job->share[k] = -1;
    SL_TRY(to_device(&session, job->residual, job->share, N));
    SL_TRY(sl_store_load_together(group, job->run, note, job, &checkpoint));
    rc = sl_session_resume(&session, &checkpoint, note, job);
    if (rc != SL_OK) {
        rc = check_untouched(&session, job, rc);
        goto out;
    }
    SL_TRY(from_device(&session, job->residual, job->values, N));
    SL_TRY(from_device(&session, session.weights->statistics + 1, &job->statistic, 1));
    SL_TRY(from_device(&session, session.updater->state[1], &job->moment, 1));
    job->position = session.position;
    if (session.best.step != 2 || session.best.accuracy != 0.5)
        rc = sl_fail(SL_INTERNAL, "another best");
out:
    sl_checkpoint_close(&checkpoint);
    close_session(&session, job);
    return rc;
}

static struct job jobs[THREAD_RANKS];
static struct thread_outcome ranks;
static const struct sl_position saved_position = {1, 4, STEP, 20, 30.5};

/* All of `size` ranks, each with a job like this one. */
static inline int run_jobs(int (*body)(const struct sl_group *group, void *self), int size, const struct job *job)
{
    ranks.body = body;
    for (int i = 0; i < size; i++) {
        jobs[i] = *job;
        jobs[i].store = i == 0 ? job->store : NULL;
        ranks.selves[i] = &jobs[i];
    }
    const int rc = thread_outcome_run(&ranks, size);
    for (int i = 1; i < size; i++)
        if (ranks.status[i] != rc)
            fail_msg("rank %d: %d, %s; rank 0: %d, %s", i, ranks.status[i], ranks.error[i], rc, ranks.error[0]);
    return rc;
}

static inline struct job job_of(const char *run, const char *exchange, bool own_moments)
{
    struct job job = {.exchange = exchange, .own_moments = own_moments, .position = saved_position};
    snprintf(job.run, sizeof job.run, "%s", at(run));
    return job;
}

static inline void save_run(const char *run, int size, const char *exchange, bool own_moments)
{
    struct job job = job_of(run, exchange, own_moments);
    assert_ok(sl_store_open(job.run, 3, &job.store));
    const int rc = run_jobs(save_body, size, &job);
    sl_store_close(job.store);
    if (rc != SL_OK)
        fail_msg("%s", ranks.error[0]);
}

static inline int load_run(const char *run, int size, const char *exchange, bool own_moments)
{
    const struct job job = job_of(run, exchange, own_moments);
    return run_jobs(load_body, size, &job);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
#endif
