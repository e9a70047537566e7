/* All of the runtime on a device whose memory the host cannot touch (strict_device.h): layers, plans, training,
 * evaluation, checkpoint and resume give the bits of the processor. */
#include "tests/strict_device.h"

#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "models/models.h"
#include "runtime/store/served_model.h"
#include "runtime/store/model_weights.h"
#include "runtime/train/session.h"
#include "tests/data_fixture.h"
#include "tests/layer_cases.h"

typedef void deed_fn(const struct sl_device *device, float *memory);

/* Does something in a process of its own; true if that kills it. */
static bool kills(deed_fn *deed, const struct sl_device *device, float *memory)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL); /* sanitizers and cmocka would report it */
        signal(SIGABRT, SIG_DFL);
        deed(device, memory);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void read_memory(const struct sl_device *device, float *memory)
{
    (void)device;
    if (*(volatile float *)memory == 0.0f)
        _exit(1);
}

static void add_to_itself(const struct sl_device *device, float *memory)
{
    struct sl_choice choice;
    const struct sl_flat shape = {.n = 1};
    const struct sl_accumulate args = {memory, memory};
    MUST(sl_choose_accumulate(device, &shape, &choice));
    MUST(sl_launch_accumulate(&choice, &shape, &args));
    sl_choice_close(&choice);
}

/* An address may look like a number (strict_is_address): all that do so lie within 168 MiB, of every 4 GiB. */
static void add_to_memory_of_the_host(const struct sl_device *device, float *memory)
{
    enum { ROOM = 256 << 20, LINE = 64 };
    (void)memory;
    char *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        _exit(1);
    char *place = room + LINE;
    if (!strict_is_address((uintptr_t)place))
        place = room + ROOM - LINE;
    add_to_itself(device, (float *)(void *)place);
}

static void add_and_copy(const struct sl_device *device, float *memory)
{
    float back;
    add_to_itself(device, memory);
    MUST(device->copy(device->self, &back, memory, sizeof back));
}

static void add_wait_and_copy(const struct sl_device *device, float *memory)
{
    float back;
    add_to_itself(device, memory);
    MUST(device->sync(device->self));
    MUST(device->copy(device->self, &back, memory, sizeof back));
}

static void it_is_strict(void **state)
{
    (void)state;
    struct sl_device device;
    void *memory;
    float back = 1.0f;
    strict_device_open(1, &device);
    MUST(device.alloc(device.self, sizeof back, &memory));
    MUST(device.copy(device.self, &back, memory, sizeof back));
    assert_true(isnan(back));
    MUST(device.fill(device.self, memory, 0, sizeof back));
    assert_true(kills(read_memory, &device, memory));
    assert_true(kills(add_to_memory_of_the_host, &device, memory));
    assert_true(kills(add_and_copy, &device, memory));
    assert_false(kills(add_wait_and_copy, &device, memory));
    MUST(device.copy(device.self, &back, memory, sizeof back));
    assert_true(back == 0.0f);
    device.free(device.self, memory);
    device.close(device.self);
}

/* Parameters and running statistics of two networks, one of them on the strict device. */
static void assert_same_parameters(const char *name, const struct sl_weights *a, const struct sl_weights *b)
{
    struct sl_weights_image x, y;
    MUST(sl_weights_image_open(a, &x));
    MUST(sl_weights_image_open(b, &y));
    assert_int_equal(x.count, y.count);
    for (size_t i = 0; i < x.count; i++) {
        uint64_t bytes;
        MUST(sl_named_tensor_bytes(&x.tensors[i], &bytes));
        if (memcmp(x.tensors[i].data, y.tensors[i].data, bytes))
            fail_msg("%s: %s differs", name, x.tensors[i].name);
    }
    sl_weights_image_close(&x);
    sl_weights_image_close(&y);
}

static void open_pair_in(struct net pair[2], struct sl_graph *(*make)(const void *), const void *self, int32_t batch,
                         enum sl_element precision)
{
    struct sl_device device;
    strict_device_open(2, &device);
    net_open_in(&pair[0], make(self), batch, precision, &device);
    MUST(sl_device_cpu_open(2, &device));
    net_open_in(&pair[1], make(self), batch, precision, &device);
}

static void open_pair(struct net pair[2], struct sl_graph *(*make)(const void *), const void *self, int32_t batch)
{
    open_pair_in(pair, make, self, batch, SL_ELEMENT_F32);
}

static struct sl_graph *graph_of_case(const void *self)
{
    return build(self);
}

/* Two whole batches and a short one. */
static void train_pair(struct net pair[2])
{
    static const int32_t counts[] = {5, 5, 3};
    for (uint64_t k = 0; k < 3; k++) {
        struct batch batch = make_batch(pair[0].graph, counts[k], k);
        train_on(&pair[0], &batch, k);
        train_on(&pair[1], &batch, k);
        free_batch(&batch);
    }
}

static void layers_train_alike(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2 * CASES; k++) {
        struct net pair[2];
        open_pair_in(pair, graph_of_case, &cases[k / 2], 5, k % 2 ? SL_ELEMENT_BF16 : SL_ELEMENT_F32);
        train_pair(pair);
        assert_same_parameters(cases[k / 2].name, pair[0].weights, pair[1].weights);
        net_close(&pair[0]);
        net_close(&pair[1]);
    }
}

/* A step with a loss that is no number says so and changes nothing. */
static void a_bad_step_changes_nothing(void **state)
{
    (void)state;
    struct net pair[2];
    struct sl_train_result result;
    open_pair(pair, graph_of_case, &cases[4], 5);
    train_pair(pair);
    struct batch batch = make_batch(pair[0].graph, 5, 9);
    batch.images[7] = NAN;
    const struct sl_train_input step = {
        .batch = {.images = batch.images, .labels = batch.labels, .count = 5, .seed = 5, .iteration = 9}, .rate = 1e-2};
    MUST_FAIL(sl_train(pair[0].plan, pair[0].updater, &step, NULL, NULL, &result), SL_NUMERICS,
              "the loss is not finite");
    assert_same_parameters("after a bad step", pair[0].weights, pair[1].weights);
    free_batch(&batch);
    net_close(&pair[0]);
    net_close(&pair[1]);
}

/* Bytes, by index, mirrored and cropped, are the floats that the processor makes of them. */
static void pixels_become_the_same_images(void **state)
{
    (void)state;
    enum { COUNT = 3, IMAGES = 5, SIZE = 8 * 6 * 3 };
    struct net pair[2];
    uint8_t bytes[IMAGES * SIZE];
    const int32_t labels[COUNT] = {0, 1, 2};
    const struct sl_image_place places[COUNT] = {
        {.index = 4}, {.index = 0, .flip = 1}, {.index = 2, .top = -1, .left = 2}};
    struct sl_plan_pixels pixels = {bytes, places, {0.01f, 0.02f, 0.03f}, {-1.0f, 0.0f, 1.0f}};
    const struct sl_plan_input input = {.pixels = &pixels, .labels = labels, .count = COUNT};
    double loss[2], other;
    for (int i = 0; i < IMAGES * SIZE; i++)
        bytes[i] = (uint8_t)(i * 37 % 251);
    open_pair(pair, graph_of_case, &cases[4], 5);
    for (int i = 0; i < 2; i++) {
        MUST(sl_plan_forward(pair[i].plan, &input));
        MUST(sl_plan_mean_loss(pair[i].plan, &loss[i]));
    }
    assert_true(loss[0] == loss[1]);
    pixels.bytes += SIZE; /* other images: another loss, so the comparison can fail */
    const struct sl_image_place first = {.index = 0};
    pixels.places = (const struct sl_image_place[]){first, first, first};
    MUST(sl_plan_forward(pair[0].plan, &input));
    MUST(sl_plan_mean_loss(pair[0].plan, &other));
    assert_true(other != loss[0]);
    net_close(&pair[0]);
    net_close(&pair[1]);
}

/* ---- whole sessions, of both networks ---- */

static int build_model(void *self, int32_t image_size, int32_t classes, struct sl_graph **graph)
{
    const struct sl_model_options options = {image_size, classes};
    return sl_model_build(self, &options, graph);
}

static void prepare_set(void)
{
    struct sl_dataset *set;
    put_tree("tree", 3, 10);
    const struct sl_prepare_options options = prepare_options(at("tree"), at("data"));
    assert_ok(sl_prepare(&options, &set));
    sl_dataset_close(set);
}

static struct sl_session_options session_options(const struct sl_device *device)
{
    return (struct sl_session_options){
        .data = at("data"),
        .batch_size = 8,
        .seed = 3,
        .device = device,
        .threads = 2,
        .schedule = {.count = 1, .rates = {1e-3}},
        .updater = sl_updater_defaults(),
        .flip = true,
        .crop_padding = 2,
        .memory_limit = (uint64_t)1 << 32,
    };
}

static void open_session(const char *model, const struct sl_device *device, struct sl_session *session)
{
    const struct sl_session_options options = session_options(device);
    assert_ok(sl_session_open(&options, build_model, (void *)(uintptr_t)model, session));
}

static void take_steps(struct sl_session *session, int steps)
{
    struct sl_session_result result;
    for (int i = 0; i < steps; i++) {
        if (sl_session_epoch_trained(session))
            sl_session_next_epoch(session);
        assert_ok(sl_session_step(session, &result));
    }
}

static double validate(struct sl_session *session)
{
    struct sl_metrics metrics;
    assert_ok(sl_metrics_open(&metrics, 3, 2));
    assert_ok(sl_session_validate(session, &metrics, NULL));
    const double loss = sl_metrics_mean_loss(&metrics);
    sl_metrics_close(&metrics);
    return loss;
}

static void save(struct sl_session *session, const char *run)
{
    struct sl_store *store;
    assert_ok(sl_store_open(run, 3, &store));
    assert_ok(sl_session_save(session, store));
    sl_store_close(store);
}

static void resume(struct sl_session *session, const char *run)
{
    struct sl_checkpoint checkpoint;
    assert_ok(sl_store_load(run, NULL, NULL, &checkpoint));
    assert_ok(sl_session_resume(session, &checkpoint, NULL, NULL));
    sl_checkpoint_close(&checkpoint);
}

static void assert_same_checkpoints(const char *a, const char *b)
{
    static const char *const files[] = {"model", "updater", "rank-0000"};
    char one[PATH_ROOM * 2], other[PATH_ROOM * 2];
    for (int i = 0; i < 3; i++) {
        snprintf(one, sizeof one, "%s/%s.safetensors", at(a), files[i]);
        snprintf(other, sizeof other, "%s/%s.safetensors", at(b), files[i]);
        if (!same_file(one, other))
            fail_msg("%s and %s differ", one, other);
    }
}

static void evaluates_alike(const char *model, const struct sl_device *device)
{
    struct sl_served_model served;
    const float *p;
    float first[3];
    int32_t stride;
    float images[4 * 16 * 16 * 3];
    fill_uniform(images, sizeof images / sizeof *images, 1);
    const struct sl_plan_input input = {.images = images, .count = 4};
    for (int i = 0; i < 2; i++) {
        const struct sl_served_options options = {.device = i ? device : NULL, .threads = 2, .batch_size = 4};
        assert_ok(sl_served_model_open(model, &options, NULL, NULL, &served));
        assert_ok(sl_plan_forward(served.plan, &input));
        assert_ok(sl_plan_probabilities(served.plan, &p, &stride));
        if (i)
            assert_memory_equal(first, p + 3 * stride, sizeof first);
        memcpy(first, p + 3 * stride, sizeof first);
        sl_served_model_close(&served);
    }
}

/* On the processor: 6 steps, saved. On the strict device: 3 steps, saved, resumed in another session, 3 more. */
static void sessions_end_in_the_same_bits(const char *model)
{
    struct sl_session host, strict;
    struct sl_device device;
    char run[64], other[64], checkpoint[96], other_checkpoint[96];
    snprintf(run, sizeof run, "host-%s", model);
    snprintf(other, sizeof other, "strict-%s", model);
    open_session(model, NULL, &host);
    take_steps(&host, 6);
    save(&host, at(run));
    strict_device_open(2, &device);
    open_session(model, &device, &strict);
    take_steps(&strict, 3);
    save(&strict, at(other));
    sl_session_close(&strict);
    open_session(model, &device, &strict);
    resume(&strict, at(other));
    take_steps(&strict, 3);
    save(&strict, at(other));
    assert_true(validate(&host) == validate(&strict));
    snprintf(checkpoint, sizeof checkpoint, "%s/ckpt-6", run);
    snprintf(other_checkpoint, sizeof other_checkpoint, "%s/ckpt-6", other);
    assert_same_checkpoints(checkpoint, other_checkpoint);
    sl_session_close(&strict);
    sl_session_close(&host);
    evaluates_alike(at(checkpoint), &device);
    device.close(device.self);
}

static void darknet_session(void **state)
{
    (void)state;
    sessions_end_in_the_same_bits("darknet");
}

static void residual_session(void **state)
{
    (void)state;
    sessions_end_in_the_same_bits("residual");
}

/* ---- a rank among others ---- */

/* All ranks say what this one says. */
static int echo(void *self, const void *mine, size_t bytes, void *all)
{
    const struct sl_group *group = self;
    for (int i = 0; i < group->size; i++)
        memcpy((char *)all + (size_t)i * bytes, mine, bytes);
    return SL_OK;
}

static int echo_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    const struct sl_group *group = self;
    assert_non_null(*all = malloc((size_t)group->size * bytes + 1));
    for (int i = 0; i <= group->size; i++)
        offsets[i] = (size_t)i * bytes;
    return echo(self, mine, bytes, *all);
}

static int leave_part(void *self, struct sl_span part, int32_t samples, bool last)
{
    (void)self, (void)part, (void)samples, (void)last;
    return SL_OK;
}

/* Others have as many images as it takes for this rank's to be weighed. */
static int vote_of_many(void *self, struct sl_vote *vote)
{
    (void)self;
    vote->samples = 2 * vote->samples + 3;
    return SL_OK;
}

static int leave_update(void *self, struct sl_span update, uint64_t step)
{
    (void)self, (void)update, (void)step;
    return SL_OK;
}

/* Trains, and validates as rank 0; the weights of the end. */
static float *train_as(const struct sl_group *group, const struct sl_train_hooks *hooks, const struct sl_device *device,
                       double *loss, size_t *bytes)
{
    struct sl_session session;
    struct sl_session_options options = session_options(device);
    options.group = group;
    assert_ok(sl_session_open(&options, build_model, (void *)(uintptr_t) "darknet", &session));
    session.hooks = *hooks;
    take_steps(&session, 3);
    *loss = group->rank == 0 ? validate(&session) : 0;
    *bytes = (size_t)session.weights->trained * sizeof(float);
    float *values = malloc(*bytes);
    assert_non_null(values);
    assert_ok(session.device.sync(session.device.self));
    assert_ok(session.device.copy(session.device.self, values, session.weights->values, *bytes));
    sl_session_close(&session);
    return values;
}

/* With images in every step and with none in any, an exchange of gradients and one of updates. */
static void a_rank_among_others_trains_alike(void **state)
{
    (void)state;
    static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    static const struct sl_train_hooks hooks[2] = {{leave_part, vote_of_many, NULL, NULL},
                                                   {NULL, vote_of_many, leave_update, NULL}};
    for (int i = 0; i < 4; i++) {
        struct sl_group group = {i / 2 ? 5 : 0, i / 2 ? 8 : 2, hosts, &group, echo, echo_parts};
        struct sl_device device;
        double loss[2];
        size_t bytes;
        float *wanted = train_as(&group, &hooks[i % 2], NULL, &loss[0], &bytes);
        strict_device_open(2, &device);
        float *got = train_as(&group, &hooks[i % 2], &device, &loss[1], &bytes);
        assert_memory_equal(got, wanted, bytes);
        assert_true(loss[0] == loss[1]);
        free(wanted);
        free(got);
        device.close(device.self);
    }
}

static int set_up(void **state)
{
    const int rc = enter(state);
    if (rc == 0)
        prepare_set();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_strict),
        cmocka_unit_test(layers_train_alike),
        cmocka_unit_test(a_bad_step_changes_nothing),
        cmocka_unit_test(pixels_become_the_same_images),
        cmocka_unit_test(darknet_session),
        cmocka_unit_test(residual_session),
        cmocka_unit_test(a_rank_among_others_trains_alike),
    };
    return cmocka_run_group_tests(tests, set_up, leave);
}
