/* Which device computes, with plug-ins that fail in every way a machine lets them (tests/fake/fake_cuda.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/device/backend.h"

struct report {
    char text[4096];
};

static void note(void *self, const char *line)
{
    struct report *report = self;
    const size_t n = strlen(report->text);
    snprintf(report->text + n, sizeof report->text - n, "%s\n", line);
}

/* Opens with the plug-in of one folder; NULL: there is none anywhere. */
static int open_with(const char *fake, const char *name, int index, struct report *report, struct sl_device *device)
{
    char folder[512];
    const struct sl_backend_options options = {
        .name = name, .index = index, .threads = 1, .report = note, .self = report};
    snprintf(folder, sizeof folder, "%s/%s", SL_FAKE_FOLDER, fake ? fake : "nothing");
    setenv("SL_MODULE_PATH", folder, 1);
    report->text[0] = '\0';
    return sl_backend_open(&options, device);
}

static void assert_opens(const char *fake, const char *name, const char *device_name, const char *words)
{
    struct sl_device device = {0};
    struct report report;
    assert_int_equal(open_with(fake, name, 0, &report, &device), SL_OK);
    assert_string_equal(device.name, device_name);
    if (!strstr(report.text, words))
        fail_msg("wanted \"%s\" in: %s", words, report.text);
    device.close(device.self);
}

static void assert_fails(const char *fake, const char *name, int index, int status, const char *words)
{
    struct sl_device device;
    struct report report;
    assert_int_equal(open_with(fake, name, index, &report, &device), status);
    if (!strstr(sl_last_error(), words))
        fail_msg("wanted \"%s\" in: %s", words, sl_last_error());
}

static int clear_choices(void **state)
{
    (void)state;
    unsetenv("SL_CUDA_GRAPH");
    unsetenv("NSYS_PROFILING_SESSION_ID");
    unsetenv("NV_NSIGHT_INJECTION_TRANSPORT_TYPE");
    unsetenv("SL_BACKEND_PRIORITY_CUDA");
    unsetenv("SL_BACKEND_PRIORITY_CPU");
    return 0;
}

/* Every way in which a GPU cannot be used: auto goes on with the processor and says why; cuda fails with the same. */
static void test_skips_have_reasons(void **state)
{
    static const struct {
        const char *fake, *reason;
    } cases[] = {
        {NULL, "there is no plug-in"},
        {"old", "of another build"},
        {"without_driver", "no NVIDIA driver"},
        {"without_device", "no NVIDIA device"},
        {"wrong_numbers", "its self-test made 3 of 2"},
        {"without_memory", "has 1.0 MB free"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_opens(cases[i].fake, "auto", "cpu", cases[i].reason);
        assert_fails(cases[i].fake, "cuda", 0, SL_UNAVAILABLE, cases[i].reason);
    }
}

static void test_the_highest_priority_wins(void **state)
{
    (void)state;
    assert_opens("good", "auto", "cuda:0", "backend cuda:0");
    assert_opens("good", "cpu", "cpu", "");
    setenv("SL_BACKEND_PRIORITY_CPU", "101", 1);
    assert_opens("good", "auto", "cpu", "backend cpu");
    setenv("SL_BACKEND_PRIORITY_CPU", "100", 1); /* equal: the table's order */
    assert_opens("good", "auto", "cuda:0", "");
    setenv("SL_BACKEND_PRIORITY_CUDA", "-1", 1);
    assert_opens("good", "auto", "cpu", "");
    setenv("SL_BACKEND_PRIORITY_CPU", "-1", 1);
    assert_fails("good", "auto", 0, SL_UNAVAILABLE, "no backend can be used");
}

static void test_wrong_words(void **state)
{
    (void)state;
    assert_fails("good", "vulkan", 0, SL_BAD_CONFIG, "auto, cuda and cpu");
    assert_fails("good", "cuda", 2, SL_UNAVAILABLE, "the devices are 0 to 1");
    setenv("SL_BACKEND_PRIORITY_CUDA", "high", 1);
    assert_fails("good", "auto", 0, SL_BAD_CONFIG, "SL_BACKEND_PRIORITY_CUDA=high");
}

/* Five processes of a host with two GPUs take them in turn, and share the memory of each. */
static void test_processes_of_a_host_take_turns(void **state)
{
    static const struct {
        int index, rank, size;
        const char *name;
        uint64_t memory;
    } cases[] = {
        {SL_BACKEND_BY_RANK, 0, 0, "cuda:0", 0},     {SL_BACKEND_BY_RANK, 0, 1, "cuda:0", 0},
        {SL_BACKEND_BY_RANK, 1, 2, "cuda:1", 0},     {SL_BACKEND_BY_RANK, 2, 5, "cuda:0", 24000},
        {SL_BACKEND_BY_RANK, 3, 5, "cuda:1", 36000}, {1, 0, 2, "cuda:1", 36000},
    };
    (void)state;
    setenv("SL_MODULE_PATH", SL_FAKE_FOLDER "/good", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_device device;
        const struct sl_backend_options options = {
            .index = cases[i].index, .local_rank = cases[i].rank, .local_size = cases[i].size};
        assert_int_equal(sl_backend_open(&options, &device), SL_OK);
        assert_string_equal(device.name, cases[i].name);
        assert_int_equal(device.memory, cases[i].memory);
        device.close(device.self);
    }
}

/* A GPU may round to tf32 where that is allowed; a processor cannot, and does not pretend to. */
static void test_tf32(void **state)
{
    (void)state;
    struct sl_device device;
    struct sl_backend_options options = {.threads = 1};
    setenv("SL_MODULE_PATH", SL_FAKE_FOLDER "/good", 1);
    for (int i = 0; i < 2; i++) {
        options.tf32 = i;
        assert_int_equal(sl_backend_open(&options, &device), SL_OK);
        assert_int_equal(device.isa, i ? SL_CUDA | SL_TF32 : SL_CUDA);
        device.close(device.self);
    }
    options.name = "cpu";
    assert_int_equal(sl_backend_open(&options, &device), SL_UNAVAILABLE);
    assert_non_null(strstr(sl_last_error(), "a processor has no tf32"));
    options.name = "auto";
    setenv("SL_MODULE_PATH", SL_FAKE_FOLDER "/without_driver", 1);
    assert_int_equal(sl_backend_open(&options, &device), SL_UNAVAILABLE);
    assert_non_null(
        strstr(sl_last_error(), "cuda is not used: no NVIDIA driver is loaded; cpu is not used: a processor"));
}

static void assert_records(bool records)
{
    struct sl_device device = {0};
    struct report report;
    assert_int_equal(open_with("good", "cuda", 0, &report, &device), SL_OK);
    assert_int_equal(device.record_begin != NULL, records);
    device.close(device.self);
}

/* Steps are recorded unless somebody wants to see them layer by layer. */
static void test_recording(void **state)
{
    (void)state;
    assert_records(true);
    setenv("NSYS_PROFILING_SESSION_ID", "1", 1);
    assert_records(false);
    setenv("SL_CUDA_GRAPH", "on", 1);
    assert_records(true);
    setenv("SL_CUDA_GRAPH", "", 1);
    assert_records(false);
    unsetenv("NSYS_PROFILING_SESSION_ID");
    assert_records(true);
    setenv("NV_NSIGHT_INJECTION_TRANSPORT_TYPE", "1", 1);
    assert_records(false);
    setenv("SL_CUDA_GRAPH", "off", 1);
    assert_records(false);
    setenv("SL_CUDA_GRAPH", "of", 1);
    assert_fails("good", "auto", 0, SL_BAD_CONFIG, "SL_CUDA_GRAPH=of: it must be on or off");
}

static void test_descriptions(void **state)
{
    (void)state;
    struct report report = {""};
    setenv("SL_MODULE_PATH", SL_FAKE_FOLDER "/good", 1);
    assert_int_equal(sl_backend_describe("cuda", note, &report), SL_OK);
    assert_non_null(strstr(report.text, "0: Fake 100, compute capability 9.0, 132 processors"));
    assert_non_null(strstr(report.text, ", 0.0 free; cuDNN: 9.1.2, peer access to 1\n1: Fake 100"));
    assert_non_null(strstr(report.text, ", 0.0 free; cuDNN: 9.1.2, no peer access"));
    assert_int_equal(sl_backend_describe("cpu", note, &report), SL_OK);
    assert_int_equal(sl_backend_describe("vulkan", note, &report), SL_BAD_CONFIG);
    setenv("SL_MODULE_PATH", SL_FAKE_FOLDER "/without_device", 1);
    assert_int_equal(sl_backend_describe("cuda", note, &report), SL_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_skips_have_reasons, clear_choices, clear_choices),
        cmocka_unit_test_setup_teardown(test_the_highest_priority_wins, clear_choices, clear_choices),
        cmocka_unit_test_setup_teardown(test_wrong_words, clear_choices, clear_choices),
        cmocka_unit_test(test_processes_of_a_host_take_turns),
        cmocka_unit_test(test_tf32),
        cmocka_unit_test_setup_teardown(test_recording, clear_choices, clear_choices),
        cmocka_unit_test(test_descriptions),
    };
    return cmocka_run_group_tests_name("backend", tests, NULL, NULL);
}
