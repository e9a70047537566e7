/* The device of the plug-in over a runtime of CUDA that is none (tests/fake/fake_cudart.c): what it asks of which
 * stream, what it records, and that it gives everything back. */
#include <stdlib.h>

#include "kernels/cuda/module.h"
#include "kernels/image/image.h"
#include "tests/fake/fake_cudart.h"
#include "tests/gpu/emulated_device.h"
#include "tests/net.h"

enum { MEMORY = 16 << 20 };

int sl_cuda_module_open(const struct sl_cuda_host *host, struct sl_cuda_module *module);

static struct sl_cuda_module module;

static void open_plugin(struct sl_device *device)
{
    fake_cudart_reset();
    MUST(module.open(0, MEMORY, device));
    fake_cudart.log[0] = '\0';
}

static void close_plugin(struct sl_device *device)
{
    device->close(device->self);
    assert_int_equal(fake_cudart.streams, 0);
    assert_int_equal(fake_cudart.events, 0);
    assert_int_equal(fake_cudart.graphs, 0);
    assert_int_equal(fake_cudart.recordings, 0);
    assert_int_equal(fake_cudart.blocks, 0);
    assert_int_equal(fake_cudart.pinned, 0);
}

static void it_opens_and_passes_its_test(void **state)
{
    struct sl_device device;
    int devices;
    (void)state;
    MUST(module.count(&devices));
    assert_int_equal(devices, 1);
    open_plugin(&device);
    assert_string_equal(device.name, "cuda:0 (Fake 100)");
    assert_int_equal(device.memory, MEMORY);
    MUST(module.self_test(&device));
    close_plugin(&device);
    MUST_FAIL(module.open(1, MEMORY, &device), SL_UNAVAILABLE, "CUDA cannot describe the device");
}

/* Work is on stream 0, what is sent on stream 1; only `sent` joins them. */
static void what_is_sent_has_a_stream_of_its_own(void **state)
{
    struct sl_device device;
    void *there, *pinned;
    (void)state;
    open_plugin(&device);
    MUST(device.alloc(device.self, 64, &there));
    MUST(device.alloc_pinned(device.self, 64, &pinned));
    memset(pinned, 7, 64);
    MUST(device.send(device.self, there, pinned, 32));
    MUST(device.send(device.self, (char *)there + 32, pinned, 32));
    MUST(device.sent(device.self));
    MUST(device.fill(device.self, there, 1, 8));
    MUST(device.copy(device.self, pinned, there, 64));
    MUST(device.mark(device.self, 1));
    MUST(device.reach(device.self, 1));
    assert_string_equal(fake_cudart.log, "copy@1 copy@1 event@1 wait@0 fill@0 copy@0 event@0 ");
    assert_int_equal(((char *)pinned)[0], 1);
    assert_int_equal(((char *)pinned)[63], 7);
    device.free_pinned(device.self, pinned);
    device.free(device.self, there);
    close_plugin(&device);
}

static void do_nothing(void *self, const struct sl_work *work)
{
    (void)self, (void)work;
}

static void a_recording_holds_work_alone(void **state)
{
    struct sl_device device;
    void *there, *recording = NULL;
    int32_t here = 5;
    bool run;
    (void)state;
    open_plugin(&device);
    MUST(device.alloc(device.self, sizeof here, &there));
    MUST(device.copy(device.self, there, &here, sizeof here));
    MUST(device.record_begin(device.self));
    MUST(device.fill(device.self, there, 0, sizeof here));
    MUST_FAIL(device.copy(device.self, &here, there, sizeof here), SL_INTERNAL, "a recording cannot copy");
    MUST_FAIL(device.fork(device.self, 1, 1000, do_nothing, NULL), SL_INTERNAL, "a recording cannot allocate");
    MUST(device.record_end(device.self, &recording));
    MUST(device.copy(device.self, &here, there, sizeof here));
    assert_int_equal(here, 5); /* it was noted, and not done */
    MUST(device.replay(device.self, recording, &run));
    MUST(device.copy(device.self, &here, there, sizeof here));
    assert_true(run && here == 0);
    MUST(device.fork(device.self, 1, 1000, do_nothing, NULL)); /* scratch is elsewhere from now on */
    MUST(device.replay(device.self, recording, &run));
    assert_false(run);
    device.forget(device.self, recording);
    MUST(device.record_begin(device.self));
    MUST(device.record_end(device.self, NULL));
    fake_cudart.cannot_make = true;
    MUST(device.record_begin(device.self));
    MUST_FAIL(device.record_end(device.self, &recording), SL_UNAVAILABLE, "CUDA cannot make a recording ready");
    fake_cudart.cannot_make = false;
    MUST(device.copy(device.self, there, &here, sizeof here)); /* it goes on */
    device.free(device.self, there);
    close_plugin(&device);
}

enum { IMAGES = 4, SIDE = 6, STEPS = 8 };

/* Weights after some steps on images of bytes, now and then a short batch. Closes the device. */
static float *train(const struct sl_device *device, bool hold, int64_t *n, uint64_t *replays)
{
    static uint8_t images[2 * IMAGES * SIDE * SIDE * 3];
    const struct sl_image_place places[IMAGES] = {{2, 0, 1, 0}, {0, -1, 0, 1}, {7, 0, 0, 0}, {5, 1, 0, 1}};
    const struct sl_plan_pixels pixels = {images, places, {0.004f, 0.004f, 0.004f}, {0.0f, 0.0f, 0.0f}};
    const int32_t labels[IMAGES] = {0, 1, 2, 3};
    struct net net;
    struct sl_train_result result;
    for (size_t i = 0; i < sizeof images; i++)
        images[i] = (uint8_t)(i * 37 % 251);
    net_open_on(&net, norm_graph(), IMAGES, device);
    if (hold)
        MUST(sl_plan_hold_images(net.plan, images, 2 * IMAGES));
    for (int i = 0; i < STEPS; i++) {
        const struct sl_train_input step = {.batch = {.pixels = &pixels,
                                                      .labels = labels,
                                                      .count = i % 4 == 3 ? IMAGES - 1 : IMAGES,
                                                      .iteration = (uint64_t)i},
                                            .rate = i % 2 ? 1e-2 : 2e-2};
        MUST(sl_train(net.plan, net.updater, &step, NULL, NULL, &result));
    }
    *n = net.weights->trained;
    *replays = sl_plan_replays(net.plan);
    float *weights = malloc((size_t)*n * sizeof *weights);
    assert_non_null(weights);
    MUST(device->sync(device->self));
    MUST(device->copy(device->self, weights, net.weights->values, (size_t)*n * sizeof *weights));
    net_close(&net);
    return weights;
}

/* Images sent or kept, steps recorded or (where that fails) not: the bits of a device that knows none of it. */
static void it_trains_to_the_same_bits(void **state)
{
    struct sl_device device;
    int64_t n;
    uint64_t replays;
    (void)state;
    MUST(emulated_device_open(&device));
    device.isa = SL_CUDA;
    float *wanted = train(&device, false, &n, &replays);
    assert_int_equal(replays, 0);
    for (int way = 0; way < 4; way++) {
        open_plugin(&device);
        fake_cudart.cannot_make = way & 2;
        float *got = train(&device, way & 1, &n, &replays);
        fake_cudart.cannot_make = false;
        assert_memory_equal(got, wanted, (size_t)n * sizeof *got);
        assert_int_equal(replays > 0, !(way & 2));
        assert_int_equal(fake_cudart.recordings + fake_cudart.graphs + fake_cudart.pinned + fake_cudart.blocks, 0);
        free(got);
    }
    free(wanted);
}

static int load(void **state)
{
    const struct sl_cuda_host host = {.abi = SL_KERNELS_ABI, .fail = sl_fail};
    (void)state;
    return sl_cuda_module_open(&host, &module) == SL_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_and_passes_its_test),
        cmocka_unit_test(what_is_sent_has_a_stream_of_its_own),
        cmocka_unit_test(a_recording_holds_work_alone),
        cmocka_unit_test(it_trains_to_the_same_bits),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
