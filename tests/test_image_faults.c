/* What is no fault of an image (too little memory, a failing device, no permission) is never taken for a bad image. */
#include "tests/jpeg_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runtime/data/loader.h"

/* ---- a failing device ---- */

static const char *failing_path; /* opening or reading a path that ends so fails */
static int open_error, read_error;
static atomic_int failing_fd = -1;

static bool fails(const char *path)
{
    const size_t n = strlen(path), m = failing_path ? strlen(failing_path) : 0;
    return m > 0 && n >= m && !strcmp(path + n - m, failing_path);
}

/* These two stand before libc's, for the whole program. */
int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (fails(path) && open_error) {
        errno = open_error;
        return -1;
    }
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fails(path))
        atomic_store(&failing_fd, fd);
    return fd;
}

ssize_t read(int fd, void *bytes, size_t n)
{
    int expected = fd;
    if (read_error && fd >= 0 && atomic_compare_exchange_strong(&failing_fd, &expected, -1)) {
        errno = read_error;
        return -1;
    }
    return syscall(SYS_read, fd, bytes, n);
}

/* Prepares ROOT/tree of two classes of six images into ROOT/out, and leaves the folder away again. */
static int prepare(bool skip, int threads, uint64_t *skipped)
{
    char command[PATH_ROOM * 3];
    struct sl_dataset *set = NULL;
    char *input = strdup(at("tree")), *output = strdup(at("out"));
    struct sl_prepare_options options = prepare_options(input, output);
    options.skip_bad_images = skip;
    options.threads = threads;
    const int rc = sl_prepare(&options, &set);
    assert_int_equal(access(at("out/dataset.json"), F_OK) == 0, rc == SL_OK);
    *skipped = set ? set->skipped : 0;
    sl_dataset_close(set);
    snprintf(command, sizeof command, "rm -rf '%s'", output);
    assert_int_equal(system(command), 0);
    free(input);
    free(output);
    return rc;
}

static void a_failing_device_ends_the_preparation(void **state)
{
    static const struct {
        int open, read, status;
    } faults[] = {{EACCES, 0, SL_IO},     {EIO, 0, SL_IO}, {EMFILE, 0, SL_SYSTEM}, {ENFILE, 0, SL_SYSTEM},
                  {ENOMEM, 0, SL_SYSTEM}, {0, EIO, SL_IO}, {0, ENOMEM, SL_SYSTEM}};
    (void)state;
    uint64_t skipped;
    put_tree("tree", 2, 6);
    put_text("tree/class00/1.jpg", "no image");
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            failing_path = "class01/2.jpg";
            open_error = faults[i].open;
            read_error = faults[i].read;
            assert_fails(prepare(true, threads, &skipped), faults[i].status, failing_path);
            /* Without skipping, the first in order of what fails is told. */
            assert_fails(prepare(false, threads, &skipped), SL_BAD_DATA, "class00/1.jpg: not a JPEG image but text");
            failing_path = "class00/0.jpg";
            assert_fails(prepare(false, threads, &skipped), faults[i].status, failing_path);
        }
    failing_path = NULL;
    open_error = read_error = 0;
    assert_ok(prepare(true, 2, &skipped));
    assert_int_equal(skipped, 1);
}

/* What is not there, and what is no file, are faults of the set. */
static void what_is_not_there_is_left_out(void **state)
{
    (void)state;
    uint64_t skipped;
    put_tree("tree", 2, 6);
    assert_int_equal(symlink("nowhere", at("tree/class00/gone.jpg")), 0);
    assert_int_equal(symlink("circle.jpg", at("tree/class00/circle.jpg")), 0);
    assert_int_equal(mkfifo(at("tree/class01/pipe.jpg"), 0666), 0);
    assert_fails(prepare(false, 1, &skipped), SL_BAD_DATA, "leave such images out");
    assert_ok(prepare(true, 1, &skipped));
    assert_int_equal(skipped, 3);
}

/* ---- too little memory ---- */

/* libjpeg takes its limit from the environment, in thousands of bytes. Only an image of several scans can be too tall
 * for it. */
static void limit_libjpeg(bool limited)
{
    assert_int_equal(limited ? setenv("JPEGMEM", "1", 1) : unsetenv("JPEGMEM"), 0);
}

static int decode(const uint8_t *bytes, size_t length)
{
    struct sl_jpeg *jpeg;
    static uint8_t rgb[16 * 16 * 3];
    assert_ok(sl_jpeg_open(&jpeg));
    const int rc = sl_jpeg_decode(jpeg, bytes, length, 16, false, rgb);
    sl_jpeg_close(jpeg);
    return rc;
}

static void too_little_memory_is_no_damage(void **state)
{
    (void)state;
    size_t length;
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "progressive_tall.jpg", &length);
    limit_libjpeg(true);
    assert_fails(decode(bytes, length), SL_SYSTEM, "cannot decode a JPEG");
    limit_libjpeg(false);
    assert_ok(decode(bytes, length));
    /* 10,000 x 10,000: libjpeg asks for its coefficients before it can see that there are none. */
    uint8_t *frame = memmem(bytes, length, "\xff\xc2\x00\x11", 4);
    assert_non_null(frame);
    memcpy(frame + 5, "\x27\x10\x27\x10", 4);
    assert_int_equal(decode(bytes, length), SL_BAD_DATA);
#ifndef __SANITIZE_ADDRESS__
    int status;
    const struct rlimit limit = {200 << 20, 200 << 20};
    const pid_t child = fork();
    if (child == 0)
        _exit(setrlimit(RLIMIT_AS, &limit) ? 1 : decode(bytes, length));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SL_SYSTEM);
#endif
    free(bytes);
}

static void the_loader_does_not_skip_for_want_of_memory(void **state)
{
    (void)state;
    size_t length;
    char *input = strdup(at("scans")), *output = strdup(at("scans-set"));
    uint8_t *bytes = read_case(SL_CASES_FOLDER, "progressive_tall.jpg", &length);
    for (int i = 0; i < 6; i++) {
        char name[PATH_ROOM];
        snprintf(name, sizeof name, "scans/%c/%d.jpg", "ab"[i % 2], i);
        put(name, bytes, length);
    }
    struct sl_dataset *set;
    struct sl_prepare_options options = prepare_options(input, output);
    options.val_fraction = 0;
    assert_ok(sl_prepare(&options, &set));
    for (int cached = 0; cached < 2; cached++) {
        struct sl_loader *loader;
        const struct sl_batch *batch;
        const struct sl_loader_options how = {.split = "train",
                                              .batch_size = 6,
                                              .threads = 2,
                                              .cache_bytes = cached ? 1 << 30 : 0,
                                              .skip_bad_images = true};
        limit_libjpeg(true);
        assert_ok(sl_loader_open(set, &how, &loader));
        assert_fails(sl_loader_next(loader, &batch), SL_SYSTEM, "cannot decode a JPEG");
        assert_int_equal(sl_loader_skipped(loader), 0);
        limit_libjpeg(false);
        assert_ok(sl_loader_seek(loader, 0, 0));
        assert_ok(sl_loader_next(loader, &batch));
        assert_int_equal(batch->count, 6);
        sl_loader_close(loader);
    }
    sl_dataset_close(set);
    free(bytes);
    free(input);
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_device_ends_the_preparation),
        cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(too_little_memory_is_no_damage),
        cmocka_unit_test(the_loader_does_not_skip_for_want_of_memory),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
