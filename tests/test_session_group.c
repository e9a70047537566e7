/* Sessions of several ranks: one position, one result, one set of metrics, and one end. */
#include "tests/data_fixture.h"

#include <math.h>

#include "runtime/base/folder.h"
#include "runtime/data/shard.h"
#include "runtime/report/metrics_json.h"
#include "runtime/report/metrics_report.h"
#include "runtime/train/session.h"
#include "tests/net.h"
#include "tests/session_net.h"
#include "tests/thread_group.h"

enum { BATCH = 5, CLASSES = 2, SIZE = 16 };

/* ---- data ---- */

struct images {
    const char *name;
    int count, first_bad, bad; /* images [first_bad, first_bad + bad) are no JPEGs */
};

/* A split of one shard; sample i is of class i % CLASSES. */
static void forge_split(const char *folder, const struct images *images, struct sl_split *split)
{
    char path[PATH_ROOM];
    struct sl_shard_writer *writer;
    *split = (struct sl_split){.name = strdup(images->name), .samples = (uint64_t)images->count, .shard_count = 1};
    split->class_samples = calloc(CLASSES, sizeof *split->class_samples);
    split->shards = calloc(1, sizeof *split->shards);
    snprintf(path, sizeof path, "%s/%s.tar", folder, images->name);
    assert_ok(sl_shard_writer_open(path, false, &writer));
    for (int i = 0; i < images->count; i++) {
        char key[32];
        size_t length;
        const bool bad = images->first_bad <= i && i < images->first_bad + images->bad;
        uint8_t *jpeg = make_jpeg(SIZE, SIZE, (unsigned)i, false, &length);
        snprintf(key, sizeof key, "%s%d", bad ? "bad" : "good", i);
        assert_ok(
            sl_shard_writer_add(writer, key, bad ? (const uint8_t *)"junk" : jpeg, bad ? 4 : length, i % CLASSES));
        split->class_samples[i % CLASSES]++;
        free(jpeg);
    }
    assert_ok(sl_shard_writer_finish(writer, split->shards));
    sl_shard_writer_close(writer);
    snprintf(path, sizeof path, "%s.tar", images->name);
    split->shards[0].name = strdup(path);
}

static void forge(const char *name, const struct images splits[2])
{
    struct sl_dataset *set = calloc(1, sizeof *set);
    assert_non_null(set);
    set->folder = strdup(at(name));
    set->name = strdup(name);
    set->pixels = (struct sl_pixels){.size = SIZE, .mean = {0.4f, 0.4f, 0.4f}, .deviation = {0.2f, 0.2f, 0.2f}};
    set->class_count = CLASSES;
    set->classes = calloc(CLASSES, sizeof *set->classes);
    set->classes[0] = (struct sl_class){strdup("a"), strdup("a")};
    set->classes[1] = (struct sl_class){strdup("b"), strdup("b")};
    set->split_count = 2;
    set->splits = calloc(2, sizeof *set->splits);
    assert_ok(sl_folder_create(set->folder));
    for (int i = 0; i < 2; i++)
        forge_split(set->folder, &splits[i], &set->splits[i]);
    assert_ok(sl_dataset_write(set));
    sl_dataset_close(set);
}

/* 24 images to train on, 5 batches; 20 to validate with, 4 batches. */
static const struct images sound[2] = {{"train", 24, 0, 0}, {"val", 20, 0, 0}};

/* ---- ranks ---- */

struct job {
    const char *data;
    bool skip_bad_images;
    int wanted;
    const char *detail;
    int stop_rank; /* -1: none */
    /* Out, of each rank. */
    struct sl_position positions[THREAD_RANKS];
    char *texts[THREAD_RANKS];
};

static int on_gradient(void *self, struct sl_span part, int32_t samples, bool last)
{
    (void)last;
    thread_group_mean(self, part, samples);
    return SL_OK;
}

static int on_agree(void *self, struct sl_vote *vote)
{
    return sl_group_vote(self, vote);
}

static void open_session(const struct sl_group *group, const struct job *job, struct sl_session *session)
{
    struct sl_session_options options = {
        .data = job->data,
        .batch_size = BATCH,
        .seed = 1,
        .group = group,
        .threads = 1,
        .updater = sl_updater_defaults(),
        .skip_bad_images = job->skip_bad_images,
        .flip = true,
    };
    assert_ok(sl_schedule_parse("0.01", &options.schedule));
    assert_ok(sl_session_open(&options, build, NULL, session));
    if (group)
        session->hooks =
            (struct sl_train_hooks){.gradient = on_gradient, .agree = on_agree, .self = (void *)(uintptr_t)group};
}

static void assert_same_on_all(const struct sl_group *group, const void *what, size_t bytes)
{
    char *all = malloc((size_t)group->size * bytes);
    assert_non_null(all);
    assert_ok(group->gather(group->self, what, bytes, all));
    for (int i = 0; i < group->size; i++)
        assert_memory_equal(all + (size_t)i * bytes, what, bytes);
    free(all);
}

static int32_t sum_over(const struct sl_group *group, int32_t mine)
{
    int32_t all[THREAD_RANKS], sum = 0;
    assert_ok(group->gather(group->self, &mine, sizeof mine, all));
    for (int i = 0; i < group->size; i++)
        sum += all[i];
    return sum;
}

/* ---- training ---- */

static void train_two_epochs(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_session session;
    struct sl_session_result step;
    open_session(group, job, &session);
    const uint64_t batches = sl_loader_batches(session.train), world = (uint64_t)group->size;
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        for (uint64_t index = 0; index < batches; index += world) {
            assert_false(sl_session_epoch_trained(&session));
            assert_ok(sl_session_step(&session, &step));
            assert_true(step.epoch == epoch && step.index == index);
            assert_int_equal(sum_over(group, step.local), step.samples);
            assert_same_on_all(group, &step.loss, sizeof step.loss);
            assert_same_on_all(group, &step.score, sizeof step.score);
        }
        assert_true(sl_session_epoch_trained(&session));
        assert_int_equal(session.position.index, batches);
        assert_int_equal(session.position.samples, 24);
        assert_same_on_all(group, &session.position, sizeof session.position);
        sl_session_next_epoch(&session);
    }
    assert_int_equal(session.position.iteration, 2 * ((batches + world - 1) / world));
    assert_same_on_all(group, session.weights->values, (size_t)session.weights->trained * sizeof(float));
    job->positions[group->rank] = session.position;
    sl_session_close(&session);
}

static void all_ranks_stand_at_one_position(void **state)
{
    (void)state;
    static const int worlds[] = {1, 2, 3, 7};
    forge("set", sound);
    struct job job = {.data = at("set"), .stop_rank = -1};
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++)
        thread_group_run(worlds[i], train_two_epochs, &job);
}

static void step_over_nan(const struct sl_group *group, void *self)
{
    struct sl_session session;
    struct sl_session_result step;
    open_session(group, self, &session);
    assert_ok(sl_session_step(&session, &step));
    const struct sl_position before = session.position;
    const float sound_value = session.weights->values[0];
    if (group->rank == 1)
        session.weights->values[0] = NAN;
    for (int i = 0; i < 2; i++)
        assert_fails(sl_session_step(&session, &step), SL_NUMERICS, "not finite at iteration 1");
    assert_memory_equal(&session.position, &before, sizeof before);
    session.weights->values[0] = sound_value;
    sl_session_skip(&session);
    assert_true(session.position.index == before.index + 2 && session.position.iteration == before.iteration + 1);
    assert_true(session.position.samples == before.samples && session.position.loss_sum == before.loss_sum);
    assert_ok(sl_session_step(&session, &step));
    assert_true(sl_session_epoch_trained(&session) && step.index == 4);
    assert_int_equal(session.position.samples, 14);
    assert_same_on_all(group, session.weights->values, (size_t)session.weights->trained * sizeof(float));
    sl_session_close(&session);
}

static void a_bad_step_can_be_skipped(void **state)
{
    (void)state;
    forge("set", sound);
    struct job job = {.data = at("set"), .stop_rank = -1};
    thread_group_run(2, step_over_nan, &job);
}

/* Steps until one is refused, of two epochs at most. */
static void train_until_refused(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_session session;
    struct sl_session_result step;
    int rc = SL_OK;
    open_session(group, job, &session);
    for (int i = 0; rc == SL_OK && session.position.epoch < 2; i++) {
        rc = sl_session_step(&session, &step);
        if (rc == SL_OK && sl_session_epoch_trained(&session))
            sl_session_next_epoch(&session);
    }
    if (rc != job->wanted || (rc != SL_OK && !strstr(sl_last_error(), job->detail)))
        fail_msg("rank %d: %d, %s", group->rank, rc, sl_last_error());
    assert_same_on_all(group, &session.position, sizeof session.position);
    job->positions[group->rank] = session.position;
    sl_session_close(&session);
}

static void what_one_cannot_read_ends_all(void **state)
{
    (void)state;
    static const struct images one_bad[2] = {{"train", 24, 7, 1}, {"val", 4, 0, 0}};
    static const struct images all_bad[2] = {{"train", 24, 0, 24}, {"val", 4, 0, 0}};
    forge("one-bad", one_bad);
    forge("all-bad", all_bad);
    struct job job = {.data = at("one-bad"), .wanted = SL_BAD_DATA, .detail = ": ", .stop_rank = -1};
    thread_group_run(3, train_until_refused, &job);
    job.detail = "sample bad7";
    thread_group_run(1, train_until_refused, &job);
    job = (struct job){.data = at("one-bad"), .skip_bad_images = true, .stop_rank = -1};
    thread_group_run(3, train_until_refused, &job);
    assert_int_equal(job.positions[0].epoch, 2);
    job = (struct job){.data = at("all-bad"), .skip_bad_images = true, .stop_rank = -1};
    job.wanted = SL_BAD_DATA;
    job.detail = "no image of the split train can be read";
    for (int ranks = 1; ranks <= 4; ranks++) {
        thread_group_run(ranks, train_until_refused, &job);
        assert_int_equal(job.positions[0].iteration, (5 + ranks - 1) / ranks);
    }
}

/* ---- validation ---- */

/* Metrics as everything that prints them shows them. */
static char *printed(const struct sl_metrics *metrics)
{
    char *text = NULL;
    size_t length;
    FILE *to = open_memstream(&text, &length);
    assert_non_null(to);
    sl_metrics_print(metrics, NULL, to);
    sl_metrics_print_json(metrics, NULL, to);
    sl_metrics_print_confusion(metrics, NULL, to);
    assert_int_equal(fclose(to), 0);
    return text;
}

/* Weights that are the same on all ranks and know the classes a little; statistics of this rank's own, whose mean over
 * any number of ranks is exact and the same. */
static void set_weights(struct sl_session *session, int rank, int ranks)
{
    struct sl_weights *w = session->weights;
    fill_uniform(w->values, (size_t)w->trained, 3);
    for (int64_t i = 0; i < w->state; i++)
        w->statistics[i] = 0.5f + 0.125f * (float)(2 * rank - (ranks - 1));
}

static void validate(const struct sl_group *group, void *self)
{
    struct job *job = self;
    struct sl_session session;
    struct sl_metrics metrics;
    const volatile int stop = group->rank == job->stop_rank;
    open_session(group, job, &session);
    set_weights(&session, group->rank, group->size);
    const size_t bytes = (size_t)session.weights->state * sizeof(float);
    float *own = malloc(bytes);
    assert_non_null(own);
    memcpy(own, session.weights->statistics, bytes);
    assert_ok(sl_metrics_open(&metrics, CLASSES, 1));
    const int rc = sl_session_validate(&session, &metrics, &stop);
    if (rc != job->wanted || (rc != SL_OK && !strstr(sl_last_error(), job->detail)))
        fail_msg("rank %d: %d, %s", group->rank, rc, sl_last_error());
    assert_memory_equal(session.weights->statistics, own, bytes);
    job->texts[group->rank] = printed(&metrics);
    free(own);
    sl_metrics_close(&metrics);
    sl_session_close(&session);
}

static void free_texts(struct job *job)
{
    for (int i = 0; i < THREAD_RANKS; i++) {
        free(job->texts[i]);
        job->texts[i] = NULL;
    }
}

static void any_number_of_ranks_prints_the_same(void **state)
{
    (void)state;
    static const int worlds[] = {1, 2, 3, 7};
    char *wanted = NULL;
    forge("set", sound);
    struct job job = {.data = at("set"), .stop_rank = -1};
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        thread_group_run(worlds[i], validate, &job);
        if (!wanted)
            wanted = strdup(job.texts[0]);
        for (int rank = 0; rank < worlds[i]; rank++)
            assert_string_equal(job.texts[rank], wanted);
        free_texts(&job);
    }
    assert_non_null(strstr(wanted, "\"samples\":20"));
    free(wanted);
}

/* Unreadable images of one rank's share: left out, or the end for all. */
static void validation_ends_for_all_together(void **state)
{
    (void)state;
    static const struct images bad[2] = {{"train", 8, 0, 0}, {"val", 20, 5, 5}};
    static const struct images all_bad[2] = {{"train", 8, 0, 0}, {"val", 20, 0, 20}};
    forge("set", sound);
    forge("bad", bad);
    forge("all-bad", all_bad);
    struct job job = {
        .data = at("set"), .wanted = SL_PREEMPTED, .stop_rank = 1, .detail = "rank 1 on bee: interrupted"};
    thread_group_run(3, validate, &job);
    free_texts(&job);
    job = (struct job){.data = at("bad"), .wanted = SL_BAD_DATA, .stop_rank = -1, .detail = "rank 1 on bee: "};
    thread_group_run(3, validate, &job);
    free_texts(&job);
    job = (struct job){.data = at("bad"), .skip_bad_images = true, .stop_rank = -1};
    thread_group_run(3, validate, &job);
    assert_non_null(strstr(job.texts[2], "\"samples\":15"));
    free_texts(&job);
    job = (struct job){.data = at("all-bad"), .skip_bad_images = true, .wanted = SL_BAD_DATA, .stop_rank = -1};
    job.detail = "no image of the split";
    for (int ranks = 1; ranks <= 5; ranks += 2) {
        thread_group_run(ranks, validate, &job);
        free_texts(&job);
    }
}

/* Without a group: the same steps and the same text. */
static void a_group_of_one_is_alone(void **state)
{
    (void)state;
    struct sl_session session;
    struct sl_session_result step;
    struct sl_metrics metrics;
    forge("set", sound);
    struct job job = {.data = at("set"), .stop_rank = -1};
    thread_group_run(1, validate, &job);
    open_session(NULL, &job, &session);
    set_weights(&session, 0, 1);
    assert_ok(sl_metrics_open(&metrics, CLASSES, 1));
    assert_ok(sl_session_validate(&session, &metrics, NULL));
    char *text = printed(&metrics);
    assert_string_equal(text, job.texts[0]);
    free(text);
    free_texts(&job);
    sl_metrics_close(&metrics);
    sl_session_close(&session);
    thread_group_run(1, train_two_epochs, &job);
    open_session(NULL, &job, &session);
    for (; session.position.epoch < 2; sl_session_next_epoch(&session))
        while (!sl_session_epoch_trained(&session))
            assert_ok(sl_session_step(&session, &step));
    assert_memory_equal(&session.position, &job.positions[0], sizeof session.position);
    sl_session_close(&session);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_ranks_stand_at_one_position),  CASE(a_bad_step_can_be_skipped),
        CASE(what_one_cannot_read_ends_all),    CASE(any_number_of_ranks_prints_the_same),
        CASE(validation_ends_for_all_together), CASE(a_group_of_one_is_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
