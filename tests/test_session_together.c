/* Sessions of several ranks as a checkpoint, and what a world of the same or another size makes of it. */
#include <errno.h>

#include "runtime/base/hash.h"
#include "tests/session_together_fixture.h"
#include "tests/strict_device.h"

/* ---- Worlds ---- */

/* What rank `rank` of `world` goes on with, by the stated rule; `own`: the moments are. */
static void assert_goes_on(const struct job *job, int rank, int world, bool own)
{
    const int then = rank % RANKS;
    uint64_t heirs = 0, first = 0;
    float values[N] = {0};
    for (int j = 0; j < RANKS; j++)
        if (j % world == rank) {
            heirs++;
            first += (uint64_t)j + 1;
            for (int k = 0; k < N; k++)
                values[k] += value_of(j, k);
        }
    for (int k = 0; k < N; k++) {
        assert_true(job->values[k] == values[k]);
        assert_true(job->share[k] == (float)((double)values[k] * ((double)world / RANKS)));
    }
    assert_int_equal(job->counts[0], first);
    assert_int_equal(job->counts[1], heirs << 62);
    assert_true(job->tau == 1 + then);
    assert_true(job->statistic == (float)then + 1);
    assert_true(job->moment == (float)(2 + (own ? 10 * then : 0)));
    assert_memory_equal(&job->position, &saved_position, sizeof saved_position);
}

static void assert_sums(int world)
{
    double sum = 0, share = 0, sum_then = 0;
    for (int i = 0; i < world; i++) {
        sum += jobs[i].values[2];
        share += jobs[i].share[2];
    }
    for (int j = 0; j < RANKS; j++)
        sum_then += value_of(j, 2);
    assert_true(sum == sum_then);
    assert_true(share / world - sum_then / RANKS < 1e-6 && sum_then / RANKS - share / world < 1e-6);
}

static void goes_on_in_any_world(void **state)
{
    (void)state;
    static const int worlds[] = {4, 2, 3, 8, 1};
    make_data();
    for (int own = 0; own < 2; own++) {
        const char *run = own ? "own" : "shared";
        save_run(run, RANKS, "threshold, mean", own);
        assert_int_equal(access(at(own ? "own/ckpt-3/updater.safetensors" : "shared/ckpt-3/updater.safetensors"), F_OK),
                         own ? -1 : 0);
        for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
            const int world = worlds[w];
            char line[96];
            if (load_run(run, world, "threshold, mean", own) != SL_OK)
                fail_msg("%s", ranks.error[0]);
            for (int i = 0; i < world; i++)
                assert_goes_on(&jobs[i], i, world, own);
            assert_sums(world);
            snprintf(line, sizeof line, "the checkpoint was made by 4 ranks and goes on with %d\n", world);
            assert_string_equal(jobs[0].told, world == RANKS ? "" : line);
            for (int i = 1; i < world; i++)
                assert_string_equal(jobs[i].told, "");
        }
        /* Nor need the last one be a group. */
        jobs[0] = job_of(run, "threshold, mean", own);
        assert_ok(load_body(NULL, &jobs[0]));
        assert_goes_on(&jobs[0], 0, 1, own);
    }
}

static void the_model_has_the_mean_of_the_statistics(void **state)
{
    (void)state;
    struct sl_safetensors *model;
    make_data();
    save_run("run", RANKS, "dense", false);
    assert_ok(sl_store_open_model(at("run"), NULL, NULL, &model));
    const struct sl_named_tensor *mean = sl_safetensors_find(model, "norm.running_mean");
    assert_non_null(mean);
    for (int i = 0; i < 4; i++)
        assert_true(((const float *)mean->data)[i] == 1.5f + (float)i);
    sl_safetensors_close(model);
}

static void alone_adds_nothing(void **state)
{
    (void)state;
    struct sl_checkpoint checkpoint;
    make_data();
    struct job job = job_of("run", NULL, false);
    job.position = (struct sl_position){0, STEP, STEP, 15, 1};
    assert_ok(sl_store_open(job.run, 3, &job.store));
    assert_ok(save_body(NULL, &job));
    sl_store_close(job.store);
    assert_ok(sl_store_load(at("run"), NULL, NULL, &checkpoint));
    assert_int_equal(checkpoint.file_count, 3);
    const struct sl_safetensors *rank = sl_checkpoint_file(&checkpoint, "rank-0000.safetensors");
    assert_int_equal(sl_safetensors_count(rank), 4);
    assert_null(sl_safetensors_metadata(rank, "exchange"));
    assert_string_equal(sl_safetensors_metadata(rank, "seed"), "1");
    sl_checkpoint_close(&checkpoint);
    /* Another way to share is another run. */
    assert_int_equal(load_run("run", 2, "threshold, mean", true), SL_BAD_CONFIG);
    assert_all_end(&ranks, SL_BAD_CONFIG, "it has exchange none and this run threshold, mean");
}

/* In memory that the host cannot touch. */
static void arrays_may_lie_on_a_device(void **state)
{
    (void)state;
    struct sl_device device;
    make_data();
    save_run("run", RANKS, "threshold, mean", true);
    strict_device_open(2, &device);
    for (int i = 0; i < 2; i++) {
        struct job job = job_of(i ? "again" : "run", "threshold, mean", true);
        job.device = &device;
        if (i == 1) {
            job.position = (struct sl_position){0, STEP, STEP, 15, 1};
            assert_ok(sl_store_open(job.run, 3, &job.store));
            assert_ok(save_body(NULL, &job));
            sl_store_close(job.store);
        }
        assert_ok(load_body(NULL, &job));
        for (int k = 0; k < N; k++)
            assert_true(job.values[k] == (i ? 0 : 8 * 6) + (i ? 1 : 4) * 0.5f * (float)k);
        assert_true(job.moment == 2 && job.statistic == 1);
    }
    device.close(device.self);
}

static void another_exchange_is_refused(void **state)
{
    (void)state;
    make_data();
    save_run("run", RANKS, "threshold, mean", true);
    assert_int_equal(load_run("run", RANKS, "threshold, sum", true), SL_BAD_CONFIG);
    assert_all_end(&ranks, SL_BAD_CONFIG, "it has exchange threshold, mean and this run threshold, sum");
    assert_int_equal(load_run("run", 3, "dense", false), SL_BAD_CONFIG);
    jobs[0] = job_of("run", NULL, false);
    assert_fails(load_body(NULL, &jobs[0]), SL_BAD_CONFIG, "it has exchange threshold, mean and this run none");
}

/* ---- The same bits ---- */

static int on_agree(void *self, struct sl_vote *vote)
{
    return sl_group_vote(self, vote);
}

static int on_update(void *self, struct sl_span update, uint64_t step)
{
    (void)step;
    thread_group_mean(self, update, 1);
    return SL_OK;
}

static uint64_t hash_of(const struct sl_session *session)
{
    const struct sl_weights *weights = session->weights;
    const size_t trained = (size_t)weights->trained * sizeof(float);
    uint64_t hash = sl_hash64(weights->values, trained);
    hash = hash * 31 + sl_hash64(weights->statistics, (size_t)weights->state * sizeof(float));
    for (int32_t s = 0; s < session->updater->slots; s++)
        hash = hash * 31 + sl_hash64(session->updater->state[s], trained);
    return hash * 31 + sl_hash64(&session->position, sizeof session->position);
}

/* Goes on with the run if there is one, trains, and saves if there is a store on rank 0. */
static int train_body(const struct sl_group *group, void *self)
{
    int rc = SL_OK;
    bool has;
    struct job *job = self;
    struct sl_session session = {0};
    struct sl_session_result step;
    struct sl_checkpoint checkpoint = {0};
    SL_TRY(open_session(group, job, &session));
    memset(job->residual, 0, N * sizeof(float));
    session.hooks = (struct sl_train_hooks){.agree = on_agree, .update = on_update, .self = (void *)(uintptr_t)group};
    SL_TRY(sl_store_has_checkpoint_together(group, job->run, &has));
    if (has) {
        SL_TRY(sl_store_load_together(group, job->run, NULL, NULL, &checkpoint));
        SL_TRY(sl_session_resume(&session, &checkpoint, NULL, NULL));
    }
    for (int i = 0; i < job->steps; i++) {
        if (sl_session_epoch_trained(&session))
            sl_session_next_epoch(&session);
        SL_TRY(sl_session_step(&session, &step));
    }
    if (job->saves)
        SL_TRY(sl_session_save(&session, job->store));
    job->hash = hash_of(&session);
out:
    sl_checkpoint_close(&checkpoint);
    close_session(&session, job);
    return rc;
}

static void train_run(const char *run, int steps, bool saves)
{
    struct job job = job_of(run, "mean of updates", true);
    job.steps = steps;
    job.saves = saves;
    assert_ok(sl_store_open(job.run, 3, &job.store));
    const int rc = run_jobs(train_body, 3, &job);
    sl_store_close(job.store);
    if (rc != SL_OK)
        fail_msg("%s", ranks.error[0]);
}

/* 3 ranks, 2 steps an epoch; the moments and the running statistics of each go their own way. */
static void resumes_to_the_same_bits(void **state)
{
    (void)state;
    uint64_t hashes[3];
    make_data();
    train_run("whole", 5, false);
    for (int i = 0; i < 3; i++)
        hashes[i] = jobs[i].hash;
    assert_true(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    for (int cut = 1; cut < 5; cut++) {
        char run[32];
        snprintf(run, sizeof run, "cut-%d", cut);
        train_run(run, cut, true);
        train_run(run, 5 - cut, false);
        for (int i = 0; i < 3; i++)
            assert_int_equal(jobs[i].hash, hashes[i]);
    }
}

/* ---- Trouble of one ---- */

static int broken(const char *step, const char *path)
{
    return !strcmp(step, "write") && strstr(path, "/rank-0002") ? EIO : 0;
}

static int save_not_finite(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_session session = {0};
    int rc = open_session(group, job, &session);
    if (rc == SL_OK)
        rc = fill(&session, job, group->rank);
    if (rc == SL_OK) {
        if (group->rank == 1)
            job->residual[4] = (float)(1e308 * 10);
        rc = sl_session_save(&session, job->store);
    }
    close_session(&session, job);
    return rc;
}

static void one_ranks_trouble_is_everybodys(void **state)
{
    (void)state;
    bool has;
    make_data();
    struct job job = job_of("run", "threshold, mean", true);
    assert_ok(sl_store_open(job.run, 3, &job.store));
    sl_io_fault_hook = broken;
    const int rc = run_jobs(save_body, RANKS, &job);
    sl_io_fault_hook = NULL;
    assert_int_equal(rc, SL_IO);
    assert_all_end(&ranks, SL_IO, "rank 2 on cat: ");
    assert_int_equal(run_jobs(save_not_finite, RANKS, &job), SL_NUMERICS);
    assert_all_end(&ranks, SL_NUMERICS, "rank 1 on bee: rank-0001.safetensors: tensor \"exchange.residual\"");
    assert_ok(sl_store_has_checkpoint(job.run, &has));
    assert_false(has);
    sl_store_close(job.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_on_in_any_world),
        CASE(the_model_has_the_mean_of_the_statistics),
        CASE(alone_adds_nothing),
        CASE(arrays_may_lie_on_a_device),
        CASE(another_exchange_is_refused),
        CASE(resumes_to_the_same_bits),
        CASE(one_ranks_trouble_is_everybodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
