/* Sessions of several ranks as a checkpoint, and what a world of the same or another size makes of it. */
#include <errno.h>

#include "tests/data_fixture.h"

#include "runtime/base/hash.h"
#include "runtime/prepare/invent.h"
#include "runtime/store/model_json.h"
#include "runtime/train/session.h"
#include "tests/strict_device.h"
#include "tests/thread_outcome.h"

enum { BATCH = 5, CLASSES = 4, RANKS = 4, N = 6, STEP = 3, TENSORS = 24 };

static int build(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    int rc = SL_OK;
    (void)self;
    SL_TRY(sl_graph_new("small", graph));
    int32_t x = sl_graph_input(*graph, image_size, image_size, 3);
    x = sl_graph_add(*graph, "conv", x, SL_CONV2D(.filters = 4));
    x = sl_graph_add(*graph, "norm", x, SL_BATCH_NORM());
    x = sl_graph_add(*graph, "act", x, SL_LEAKY_RELU());
    x = sl_graph_add(*graph, "classes", x, SL_CONV2D(.filters = classes, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(*graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(*graph, "loss", x, SL_SOFTMAX_NLL());
out:
    return rc;
}

static char data[PATH_ROOM * 2];

/* 24 images to train on: an epoch of 5 batches. */
static void make_data(void)
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

static void note(void *self, const char *line)
{
    struct job *job = self;
    const size_t n = strlen(job->told);
    snprintf(job->told + n, sizeof job->told - n, "%s\n", line);
}

static int open_session(const struct sl_group *group, struct job *job, struct sl_session *session)
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

static void close_session(struct sl_session *session, struct job *job)
{
    if (session->device.free && job->residual)
        session->device.free(session->device.self, job->residual);
    job->residual = NULL;
    sl_session_close(session);
}

static float value_of(int rank, int k)
{
    return (float)(8 * rank) + 0.5f * (float)k;
}

static int to_device(const struct sl_session *session, float *at, const float *from, int64_t n)
{
    return session->device.copy(session->device.self, at, from, (size_t)n * sizeof *at);
}

static int from_device(const struct sl_session *session, const float *at, float *to, int64_t n)
{
    const int rc = session->device.sync(session->device.self);
    return rc == SL_OK ? session->device.copy(session->device.self, to, at, (size_t)n * sizeof *at) : rc;
}

/* Numbers that tell ranks apart, where ranks differ. */
static int fill(struct sl_session *session, struct job *job, int rank)
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

static int save_body(const struct sl_group *group, void *self)
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
static int check_untouched(const struct sl_session *session, const struct job *job, int rc)
{
    float first = 0;
    (void)from_device(session, job->residual, &first, 1);
    if (session->position.iteration || first != -1 || job->share[0] != -1 || job->tau != -1)
        return sl_fail(SL_INTERNAL, "refused, and changed: %s", sl_last_error());
    return rc;
}

static int load_body(const struct sl_group *group, void *self)
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
static int run_jobs(int (*body)(const struct sl_group *group, void *self), int size, const struct job *job)
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

static struct job job_of(const char *run, const char *exchange, bool own_moments)
{
    struct job job = {.exchange = exchange, .own_moments = own_moments, .position = saved_position};
    snprintf(job.run, sizeof job.run, "%s", at(run));
    return job;
}

static void save_run(const char *run, int size, const char *exchange, bool own_moments)
{
    struct job job = job_of(run, exchange, own_moments);
    assert_ok(sl_store_open(job.run, 3, &job.store));
    const int rc = run_jobs(save_body, size, &job);
    sl_store_close(job.store);
    if (rc != SL_OK)
        fail_msg("%s", ranks.error[0]);
}

static int load_run(const char *run, int size, const char *exchange, bool own_moments)
{
    const struct job job = job_of(run, exchange, own_moments);
    return run_jobs(load_body, size, &job);
}

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

/* ---- Checkpoints that sessions would not write ---- */

static uint64_t position[4], world_said;
static float numbers[2];

struct forgery {
    int rank; /* whose file is changed; -1: all */
    const char *tensor;
    struct sl_named_tensor with; /* name NULL: it is left out */
    const char *key, *value;     /* of the metadata */
};

static size_t copy_tensors(const struct sl_safetensors *file, const struct forgery *forgery, struct sl_named_tensor *to)
{
    size_t n = 0;
    for (size_t i = 0; i < sl_safetensors_count(file); i++) {
        to[n] = *sl_safetensors_at(file, i);
        if (forgery && forgery->tensor && !strcmp(to[n].name, forgery->tensor)) {
            if (!forgery->with.name)
                continue;
            to[n] = forgery->with;
        }
        n++;
    }
    assert_true(n <= TENSORS);
    return n;
}

static size_t copy_metadata(const struct sl_safetensors *file, const struct forgery *forgery, struct sl_text_pair *to)
{
    static const char *const keys[] = {"exchange",     "seed",     "batch-size", "training-samples", "optimizer",
                                       "weight-decay", "data-set", "kernels",    "augmentation",     SL_MODEL_METADATA};
    size_t n = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const bool forged = forgery && forgery->key && !strcmp(forgery->key, keys[i]);
        to[n] = (struct sl_text_pair){keys[i], forged ? forgery->value : sl_safetensors_metadata(file, keys[i])};
        n += to[n].value != NULL;
    }
    return n;
}

/* ckpt-STEP of RUN again in a run of its own, with that change. */
static void forge(const char *name, const struct forgery *forgery)
{
    struct sl_checkpoint from;
    struct sl_store *store;
    static struct sl_named_tensor tensors[RANKS + 2][TENSORS];
    static struct sl_text_pair metadata[RANKS + 2][16];
    struct sl_store_file files[RANKS + 2];
    assert_ok(sl_store_load(at("run"), NULL, NULL, &from));
    assert_true(from.file_count <= RANKS + 2);
    for (size_t i = 0; i < from.file_count; i++) {
        char changed[SL_STORE_NAME];
        sl_checkpoint_rank_name(forgery->rank < 0 ? 0 : forgery->rank, changed);
        const bool meant = forgery->rank < 0 ? !strncmp(from.names[i], "rank-", 5) : !strcmp(from.names[i], changed);
        const struct forgery *change = meant ? forgery : NULL;
        const size_t pairs = copy_metadata(from.files[i], change, metadata[i]);
        const size_t count = copy_tensors(from.files[i], change, tensors[i]);
        files[i] = (struct sl_store_file){from.names[i], tensors[i], count, metadata[i], pairs};
    }
    assert_ok(sl_store_open(at(name), 9, &store));
    assert_ok(sl_store_save(store, from.step, files, from.file_count));
    sl_store_close(store);
    sl_checkpoint_close(&from);
}

#define FORGED_POSITION                      \
    {                                        \
        "position", SL_U64, 1, {4}, position \
    }
#define FORGED_WORLD                         \
    {                                        \
        "world", SL_U64, 1, {1}, &world_said \
    }
#define FORGED_RESIDUAL                              \
    {                                                \
        "exchange.residual", SL_F32, 1, {2}, numbers \
    }

static void ranks_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct forgery forgery;
        uint64_t position[4], world;
        int status, status_alone; /* of 4 ranks, and of one that reads all */
        const char *part, *part_alone;
    } cases[] = {
        {{.rank = -1, "position", FORGED_POSITION}, {1, 4, 3, 20}, 0, SL_OK, SL_OK, "", ""},
        {{.rank = -1, "position", FORGED_POSITION}, {0, 3, 3, 15}, 0, SL_OK, SL_OK, "", ""},
        {{.rank = -1, "position", FORGED_POSITION}, {2, 3, 3, 13}, 0, SL_OK, SL_OK, "", ""},
        {{.rank = -1, "position", FORGED_POSITION}, {3, 1, 3, 5}, 0, SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"},
        {{.rank = -1, "position", FORGED_POSITION}, {0, 2, 3, 10}, 0, SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"},
        {{.rank = -1, "position", FORGED_POSITION}, {4, 0, 3, 0}, 0, SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"},
        {{.rank = -1, "position", FORGED_POSITION}, {1, 6, 3, 9}, 0, SL_BAD_DATA, SL_BAD_DATA, "an epoch of 5", "of 5"},
        {{.rank = -1, "position", FORGED_POSITION}, {UINT64_MAX, 4, 3, 9}, 0, SL_BAD_DATA, SL_BAD_DATA, "epoch", "3 s"},
        {{.rank = -1, "position", FORGED_POSITION}, {1, 4, 2, 20}, 0, SL_BAD_DATA, SL_BAD_DATA, "after 2 steps", "2 s"},
        {{.rank = 2, "position", FORGED_POSITION},
         {1, 3, 3, 20},
         0,
         SL_BAD_DATA,
         SL_BAD_DATA,
         "rank 0 and rank 2 go on from contradict",
         "of rank 0 and rank 2 contradict each other"},
        {{.rank = 0, "position", FORGED_POSITION},
         {1, 3, 3, 20},
         0,
         SL_BAD_DATA,
         SL_BAD_DATA,
         "rank 0 and rank 1 go on from contradict",
         "of rank 0 and rank 1 contradict each other"},
        {{.rank = 1, "world", FORGED_WORLD},
         {0},
         3,
         SL_BAD_DATA,
         SL_BAD_DATA,
         "rank 1 on bee: ",
         "of rank 0 and rank 1 contradict each other"},
        {{.rank = -1, "world", FORGED_WORLD},
         {0},
         3,
         SL_BAD_DATA,
         SL_BAD_DATA,
         "rank 0 says that 3 ranks saved, and there are files of 4",
         "3 ranks saved"},
        {{.rank = -1, "world", FORGED_WORLD}, {0}, 0, SL_BAD_DATA, SL_BAD_DATA, "1 ranks saved", "1 ranks saved"},
        {{.rank = -1, "world", FORGED_WORLD},
         {0},
         UINT64_MAX,
         SL_BAD_DATA,
         SL_BAD_DATA,
         "18446744073709551615 ranks saved",
         "files of 4"},
        {{.rank = 3, "world", {0}}, {0}, 0, SL_BAD_DATA, SL_BAD_DATA, "rank 3 on dog: ", "rank 0 and rank 3"},
        {{.rank = 3, "exchange.residual", {0}},
         {0},
         0,
         SL_BAD_CONFIG,
         SL_BAD_CONFIG,
         "\"exchange.residual\" is missing",
         "\"exchange.residual\" is missing"},
        {{.rank = 3, "exchange.residual", FORGED_RESIDUAL},
         {0},
         0,
         SL_BAD_CONFIG,
         SL_BAD_CONFIG,
         "of another size",
         "of another size"},
        {{.rank = 2, "updater.v", {0}}, {0}, 0, SL_BAD_CONFIG, SL_OK, "rank 2 on cat: ", ""},
        {{.rank = 2, "statistics", {0}}, {0}, 0, SL_BAD_CONFIG, SL_OK, "\"statistics\" is missing", ""},
        {{.rank = 1, .key = "seed", .value = "9"},
         {0},
         0,
         SL_BAD_CONFIG,
         SL_BAD_DATA,
         "it has seed 9 and this run 1",
         "rank 0 and rank 1 are of two runs: seed 1 and 9"},
        {{.rank = 1, .key = "exchange"},
         {0},
         0,
         SL_BAD_CONFIG,
         SL_BAD_DATA,
         "it has exchange none and this run threshold, mean",
         "two runs: exchange threshold, mean and none"},
        {{.rank = 1, .key = "kernels", .value = "others"}, {0}, 0, SL_OK, SL_OK, "", ""},
    };
    make_data();
    save_run("run", RANKS, "threshold, mean", true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "forged-%zu", i);
        memcpy(position, cases[i].position, sizeof position);
        world_said = cases[i].world;
        forge(name, &cases[i].forgery);
        for (int alone = 0; alone < 2; alone++) {
            const int wanted = alone ? cases[i].status_alone : cases[i].status;
            const int rc = load_run(name, alone ? 1 : RANKS, "threshold, mean", true);
            if (rc != wanted)
                fail_msg("case %zu, alone %d: %d, %s", i, alone, rc, ranks.error[0]);
            if (rc != SL_OK)
                assert_all_end(&ranks, wanted, alone ? cases[i].part_alone : cases[i].part);
        }
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

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(goes_on_in_any_world),
        CASE(resumes_to_the_same_bits),
        CASE(the_model_has_the_mean_of_the_statistics),
        CASE(alone_adds_nothing),
        CASE(arrays_may_lie_on_a_device),
        CASE(another_exchange_is_refused),
        CASE(ranks_that_contradict_each_other_are_refused),
        CASE(one_ranks_trouble_is_everybodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
