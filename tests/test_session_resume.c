/* What a checkpoint can be resumed with, and what it is refused for. */
#include "tests/data_fixture.h"

#include "kernels/kernels.h"
#include "runtime/prepare/invent.h"
#include "runtime/store/model_json.h"
#include "runtime/train/session_identity.h"

enum { BATCH = 5, CLASSES = 4, EPOCH = 5 /* batches */, SAVED = 7 };

static int build(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    int rc = SL_OK;
    const int32_t *filters = self;
    SL_TRY(sl_graph_new("small", graph));
    int32_t x = sl_graph_input(*graph, image_size, image_size, 3);
    x = sl_graph_add(*graph, "conv", x, SL_CONV2D(.filters = *filters));
    x = sl_graph_add(*graph, "classes", x, SL_CONV2D(.filters = classes, .kernel = {1, 1}, .bias = true));
    x = sl_graph_add(*graph, "gap", x, SL_AVERAGE_POOL(.global = true));
    sl_graph_add(*graph, "loss", x, SL_SOFTMAX_NLL());
out:
    return rc;
}

/* An invented set of 24 + 4 images. */
static void make_data(const char *name, uint64_t seed)
{
    char images[64];
    struct sl_dataset *dataset;
    const struct sl_invent_options sample = {CLASSES, 6, 1, 16, seed};
    snprintf(images, sizeof images, "%s-images", name);
    assert_int_equal(mkdir(at(images), 0700), 0);
    assert_ok(sl_invent_write(at(images), &sample));
    const struct sl_prepare_options options = prepare_options(at(images), at(name));
    assert_ok(sl_prepare(&options, &dataset));
    sl_dataset_close(dataset);
}

/* The same images under each other's names. */
static void swap_classes(const char *name)
{
    struct sl_dataset *dataset;
    assert_ok(sl_dataset_open(at(name), &dataset));
    const struct sl_class first = dataset->classes[0];
    dataset->classes[0] = dataset->classes[1];
    dataset->classes[1] = first;
    assert_ok(sl_dataset_write(dataset));
    sl_dataset_close(dataset);
}

/* `data` in ROOT, as a path that lives on. */
static struct sl_session_options defaults(const char *data)
{
    static char path[PATH_ROOM * 2];
    snprintf(path, sizeof path, "%s", at(data));
    struct sl_session_options options = {
        .data = path, .batch_size = BATCH, .seed = 1, .threads = 1, .updater = sl_updater_defaults()};
    assert_ok(sl_schedule_parse("0.001", &options.schedule));
    return options;
}

static char reports[1024];

static void note(void *self, const char *line)
{
    (void)self;
    const size_t n = strlen(reports);
    snprintf(reports + n, sizeof reports - n, "%s\n", line);
}

/* Resumes RUN with these options; on success the session is left open. */
static int resume(const char *name, const struct sl_session_options *options, int32_t filters,
                  struct sl_session *session)
{
    int rc = SL_OK;
    struct sl_checkpoint checkpoint = {0};
    reports[0] = '\0';
    SL_TRY(sl_session_open(options, build, &filters, session));
    SL_TRY(sl_store_load(at(name), NULL, NULL, &checkpoint));
    SL_TRY(sl_session_resume(session, &checkpoint, note, NULL));
out:
    sl_checkpoint_close(&checkpoint);
    if (rc != SL_OK)
        sl_session_close(session);
    return rc;
}

/* Trains SAVED steps, and saves RUN/ckpt-SAVED with a best of step 5. */
static void make_run(const char *name, const struct sl_session_options *options, struct sl_session *session)
{
    int32_t filters = 4;
    struct sl_store *store;
    struct sl_session_result step;
    assert_ok(sl_session_open(options, build, &filters, session));
    assert_int_equal(sl_loader_batches(session->train), EPOCH);
    for (int i = 0; i < SAVED; i++) {
        if (sl_session_epoch_trained(session))
            sl_session_next_epoch(session);
        assert_ok(sl_session_step(session, &step));
    }
    session->best = (struct sl_best){5, 0.75};
    assert_ok(sl_store_open(at(name), 3, &store));
    assert_ok(sl_session_save(session, store));
    sl_store_close(store);
}

static void resumes_its_own(void **state)
{
    (void)state;
    struct sl_session first, again;
    make_data("data", 1);
    struct sl_session_options options = defaults("data");
    make_run("run", &options, &first);
    /* Threads, loaders and the rate may change. */
    options.threads = 2;
    options.loader_threads = 3;
    options.memory_limit = 1 << 30;
    options.skip_bad_images = true;
    assert_ok(sl_schedule_parse("0.5", &options.schedule));
    assert_ok(resume("run", &options, 4, &again));
    assert_string_equal(reports, "");
    assert_memory_equal(&again.position, &first.position, sizeof first.position);
    assert_int_equal(again.best.step, 5);
    assert_true(again.best.accuracy == 0.75);
    assert_memory_equal(again.weights->values, first.weights->values, (size_t)first.weights->trained * sizeof(float));
    sl_session_close(&first);
    sl_session_close(&again);
}

static void names_every_difference(void **state)
{
    (void)state;
    struct sl_session session;
    make_data("data", 1);
    const struct sl_session_options options = defaults("data");
    make_run("run", &options, &session);
    sl_session_close(&session);

    struct sl_session_options other = options;
    other.seed = 2;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "it has seed 1 and this run 2");
    other = options;
    other.batch_size = 6;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "it has batch-size 5 and this run 6");
    other = options;
    other.updater.kind = SL_UPDATER_SGD;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "optimizer amsgrad and this run sgd, momentum 0.9");
    other = options;
    other.updater.l2 = 0.5;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "it has weight-decay 0.0001");
    other = options;
    other.fast_decode = true;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG,
                 "range 0 and this run flip 0, crop 0, range 0, fast");
    other.fast_decode = false;
    other.flip = true;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "flip 0, crop 0, range 0 and this run flip 1");
    other = options;
    other.crop_padding = 2;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "and this run flip 0, crop 2");
    other = options;
    other.precision = SL_ELEMENT_BF16;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "it has precision fp32 and this run bf16");
    other = options;
    other.range = SL_PIXELS_STANDARDISED;
    assert_fails(resume("run", &other, 4, &session), SL_BAD_CONFIG, "range 1");
    assert_fails(resume("run", &options, 6, &session), SL_BAD_CONFIG, "its network \"small\" (");
    other.seed = 9;
    other.batch_size = 3;
    assert_fails(resume("run", &other, 6, &session), SL_BAD_CONFIG, "its network \"small\" (");
    assert_non_null(strstr(sl_last_error(), "; it has seed 1 and this run 9; it has batch-size 5 and this run 3;"));
    assert_non_null(strstr(sl_last_error(), "range 1; resume with the same"));
}

static void refuses_another_data_set_of_equal_counts(void **state)
{
    (void)state;
    struct sl_session session;
    char place[PATH_ROOM];
    make_data("data", 1);
    struct sl_session_options options = defaults("data");
    make_run("run", &options, &session);
    sl_session_close(&session);
    make_data("pixels", 2);
    options.data = at("pixels");
    assert_fails(resume("run", &options, 4, &session), SL_BAD_CONFIG, "it has data-set ");
    make_data("permuted", 1);
    swap_classes("permuted");
    options.data = at("permuted");
    assert_fails(resume("run", &options, 4, &session), SL_BAD_CONFIG, "it has data-set ");
    assert_non_null(strstr(sl_last_error(), "its class 0 is n"));
    /* The same set elsewhere is the same. */
    snprintf(place, sizeof place, "%s", at("moved"));
    assert_int_equal(rename(at("data"), place), 0);
    options.data = place;
    assert_ok(resume("run", &options, 4, &session));
    sl_session_close(&session);
}

/* A cluster may have nodes of two kinds. */
static void goes_on_with_other_kernels_and_says_so(void **state)
{
    (void)state;
    struct sl_session first, again;
    make_data("data", 1);
    const struct sl_session_options options = defaults("data");
    make_run("run", &options, &first);
    sl_session_close(&first);
    if (sl_isa() == SL_CPU)
        skip();
    assert_int_equal(setenv("SL_ISA", "ref", 1), 0);
    const int rc = resume("run", &options, 4, &again);
    assert_int_equal(unsetenv("SL_ISA"), 0);
    assert_ok(rc);
    assert_non_null(strstr(reports, "was made with the kernels "));
    assert_non_null(strstr(reports, " and this run has ref ("));
    sl_session_close(&again);
}

/* Opened for its checkpoint, and resumed from it. */
static void open_and_resume(const char *name, struct sl_session_options options, struct sl_session *session)
{
    struct sl_checkpoint checkpoint;
    int32_t filters = 4;
    reports[0] = '\0';
    assert_ok(sl_store_load(at(name), NULL, NULL, &checkpoint));
    options.from = &checkpoint;
    options.say = note;
    assert_ok(sl_session_open(&options, build, &filters, session));
    assert_ok(sl_session_resume(session, &checkpoint, note, NULL));
    sl_checkpoint_close(&checkpoint);
}

static void train_on(struct sl_session *session, int steps)
{
    struct sl_session_result step;
    for (int i = 0; i < steps; i++) {
        if (sl_session_epoch_trained(session))
            sl_session_next_epoch(session);
        assert_ok(sl_session_step(session, &step));
    }
}

static void assert_same_weights(const struct sl_session *a, const struct sl_session *b, bool same)
{
    const size_t bytes = (size_t)a->weights->trained * sizeof(float);
    assert_int_equal(!memcmp(a->weights->values, b->weights->values, bytes), same);
}

/* Rows that this machine would not choose are those of another machine, or were measured. */
static void takes_the_kernels_of_its_checkpoint_again(void **state)
{
    (void)state;
    struct sl_session first, again;
    struct sl_identity then, now;
    make_data("data", 1);
    struct sl_session_options options = defaults("data");
    if (sl_isa() == SL_CPU)
        skip();
    assert_int_equal(setenv("SL_KERNEL", "conv2d_fwd:ref,conv2d_bwd_weights:ref", 1), 0);
    make_run("run", &options, &first);
    assert_int_equal(unsetenv("SL_KERNEL"), 0);
    open_and_resume("run", options, &again);
    assert_string_equal(reports, "");
    sl_session_identify(&first, &then);
    sl_session_identify(&again, &now);
    for (int i = 0; i < SL_IDENTITY_KEYS; i++)
        assert_string_equal(then.pairs[i].value, now.pairs[i].value);
    train_on(&first, 6);
    train_on(&again, 6);
    assert_same_weights(&first, &again, true);
    sl_session_close(&again);
    /* Who names a policy gets it, and is told what that means. */
    options.kernels = SL_POLICY_FASTEST;
    assert_int_equal(setenv("SL_CACHE_DIR", fixture_root, 1), 0);
    open_and_resume("run", options, &again);
    assert_int_equal(unsetenv("SL_CACHE_DIR"), 0);
    /* Without AVX-512 each of these small shapes has but one row that is worth measuring. */
    const bool measures = strstr(reports, "measuring which kernels are fastest for training");
    assert_int_equal(measures, (sl_isa() & SL_AVX512) != 0);
    assert_non_null(strstr(reports, "was made with the kernels "));
    assert_non_null(strstr(reports, " and this run has fastest: "));
    train_on(&again, 6);
    assert_same_weights(&first, &again, false);
    sl_session_close(&again);
    sl_session_close(&first);
}

/* Two policies that choose the same rows make the same bits, and there is nothing to tell. */
static void a_policy_alone_is_no_difference(void **state)
{
    (void)state;
    struct sl_session first, again;
    make_data("data", 1);
    struct sl_session_options options = defaults("data");
    make_run("run", &options, &first);
    options.kernels = SL_POLICY_EXACT; /* nothing transforms in so small a network */
    open_and_resume("run", options, &again);
    assert_string_equal(reports, "");
    assert_int_equal(again.rows.policy, SL_POLICY_EXACT);
    sl_session_close(&again);
    sl_session_close(&first);
}

/* ---- Checkpoints that the session would not write ---- */

static size_t tensors_of(const struct sl_safetensors *file, struct sl_named_tensor list[16])
{
    for (size_t i = 0; i < sl_safetensors_count(file); i++)
        list[i] = *sl_safetensors_at(file, i);
    return sl_safetensors_count(file);
}

/* RUN/ckpt-SAVED again in a run of its own, as of step `step`, with that position, the first `keys` of its metadata,
 * and all but `lost` of the updater's arrays. */
static void forge_without(size_t lost, const char *name, uint64_t step, const uint64_t position[4], size_t keys,
                          const struct sl_session *session)
{
    struct sl_checkpoint from;
    struct sl_store *store;
    struct sl_identity identity;
    struct sl_named_tensor model[16], updater[16];
    const double loss_sum = 1;
    assert_ok(sl_store_load(at("run"), NULL, NULL, &from));
    const struct sl_safetensors *model_file = sl_checkpoint_file(&from, "model.safetensors");
    const struct sl_text_pair description = {SL_MODEL_METADATA, sl_safetensors_metadata(model_file, SL_MODEL_METADATA)};
    const size_t models = tensors_of(model_file, model);
    const size_t updaters = tensors_of(sl_checkpoint_file(&from, "updater.safetensors"), updater);
    const struct sl_named_tensor rank[] = {{"position", SL_U64, 1, {4}, position},
                                           {"loss_sum", SL_F64, 1, {1}, &loss_sum}};
    sl_session_identify(session, &identity);
    const struct sl_store_file files[] = {{"model.safetensors", model, models, &description, 1},
                                          {"updater.safetensors", updater, updaters - lost, NULL, 0},
                                          {"rank-0000.safetensors", rank, 2, identity.pairs, keys}};
    assert_ok(sl_store_open(at(name), 9, &store));
    assert_ok(sl_store_save(store, step, files, 3));
    sl_store_close(store);
    sl_checkpoint_close(&from);
}

static void forge(const char *name, uint64_t step, const uint64_t position[4], size_t keys,
                  const struct sl_session *session)
{
    forge_without(0, name, step, position, keys, session);
}

static void what_lacks_an_array_changes_nothing(void **state)
{
    (void)state;
    struct sl_session session;
    struct sl_checkpoint checkpoint;
    static const uint64_t position[4] = {1, 2, 7, 10};
    make_data("data", 1);
    const struct sl_session_options options = defaults("data");
    make_run("run", &options, &session);
    forge_without(1, "lacking", SAVED, position, SL_IDENTITY_KEYS, &session);
    session.weights->values[0] = 99.0f;
    assert_ok(sl_store_load(at("lacking"), NULL, NULL, &checkpoint));
    assert_fails(sl_session_resume(&session, &checkpoint, NULL, NULL), SL_BAD_CONFIG, "is missing or of another size");
    assert_true(session.weights->values[0] == 99.0f);
    sl_checkpoint_close(&checkpoint);
    sl_session_close(&session);
}

static void old_checkpoints_are_resumed(void **state)
{
    (void)state;
    struct sl_session first, again;
    static const uint64_t position[4] = {1, 2, 7, 10};
    make_data("data", 1);
    struct sl_session_options options = defaults("data");
    make_run("run", &options, &first);
    forge("old", SAVED, position, SL_IDENTITY_KEYS - 3, &first);
    assert_ok(resume("old", &options, 4, &again));
    assert_non_null(strstr(reports, "older version and does not name its data-set: not compared"));
    assert_non_null(strstr(reports, "does not name its kernels: not compared"));
    assert_int_equal(again.best.step, 0);
    sl_session_close(&again);
    options.seed = 2;
    assert_fails(resume("old", &options, 4, &again), SL_BAD_CONFIG, "it has seed 1 and this run 2");
    sl_session_close(&first);
}

static void a_position_belongs_to_its_step(void **state)
{
    (void)state;
    struct sl_session first, again;
    static const struct {
        uint64_t step, position[4];
        int status;
    } cases[] = {
        {7, {1, 2, 7, 10}, SL_OK},
        {5, {0, 5, 5, 24}, SL_OK},
        {5, {1, 0, 5, 0}, SL_OK},
        {8, {1, 2, 7, 10}, SL_BAD_DATA},
        {7, {1, 2, 8, 10}, SL_BAD_DATA},
        {7, {1, 3, 7, 10}, SL_BAD_DATA},
        {7, {0, 7, 7, 10}, SL_BAD_DATA},
        {7, {2, 2, 7, 10}, SL_BAD_DATA},
        {7, {1, 2, 7, 1000}, SL_BAD_DATA},
        {7, {UINT64_MAX, 12, 7, 10}, SL_BAD_DATA},
        {7, {1, UINT64_MAX, 7, 10}, SL_BAD_DATA},
    };
    make_data("data", 1);
    const struct sl_session_options options = defaults("data");
    make_run("run", &options, &first);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[32];
        snprintf(name, sizeof name, "forged-%zu", i);
        forge(name, cases[i].step, cases[i].position, SL_IDENTITY_KEYS, &first);
        const int rc = resume(name, &options, 4, &again);
        if (rc != cases[i].status)
            fail_msg("case %zu: %d, %s", i, rc, sl_last_error());
        if (rc == SL_OK)
            sl_session_close(&again);
    }
    sl_session_close(&first);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(resumes_its_own),
        CASE(what_lacks_an_array_changes_nothing),
        CASE(names_every_difference),
        CASE(refuses_another_data_set_of_equal_counts),
        CASE(goes_on_with_other_kernels_and_says_so),
        CASE(takes_the_kernels_of_its_checkpoint_again),
        CASE(a_policy_alone_is_no_difference),
        CASE(old_checkpoints_are_resumed),
        CASE(a_position_belongs_to_its_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
