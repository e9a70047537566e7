/* What the tests of the data pipeline share: a temporary folder, small JPEGs, small prepared sets. */
#ifndef SL_TESTS_DATA_FIXTURE_H
#define SL_TESTS_DATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/file_io.h"
#include "runtime/data/jpeg.h"
#include "runtime/prepare/prepare.h"

enum { PATH_ROOM = 512 };

#define assert_ok(call)                                 \
    do {                                                \
        if ((call) != SL_OK)                            \
            fail_msg("%s: %s", #call, sl_last_error()); \
    } while (0)

/* The call fails with `status`, and says `part` in its message. */
#define assert_fails(call, status, part)                             \
    do {                                                             \
        assert_int_equal((call), (status));                          \
        if (!strstr(sl_last_error(), (part)))                        \
            fail_msg("\"%s\" is not in: %s", part, sl_last_error()); \
    } while (0)

/* The test program's own folder, removed by leave(). */
static char fixture_root[PATH_ROOM];

static inline int enter(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(fixture_root, sizeof fixture_root, "%s/starling-test-XXXXXX", base ? base : "/tmp");
    return mkdtemp(fixture_root) ? 0 : -1;
}

static inline int leave(void **state)
{
    char command[PATH_ROOM + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_root);
    return system(command);
}

/* A path below the root; the text lives until eight more calls. */
static inline const char *at(const char *name)
{
    static char paths[8][PATH_ROOM * 2];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", fixture_root, name);
    return path;
}

/* Creates the folders above a file. */
static inline void put_folders(char *path)
{
    for (char *slash = path + strlen(fixture_root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        assert_true(mkdir(path, 0777) == 0 || access(path, F_OK) == 0);
        *slash = '/';
    }
}

/* Makes a file anew, or makes another one of it: some file systems are slow to create thousands under one name, and
 * flush those that were cut to nothing. */
static inline void put(const char *name, const void *bytes, size_t n)
{
    char *path = strdup(at(name));
    FILE *file = fopen(path, "r+b");
    if (!file) {
        put_folders(path);
        file = fopen(path, "wb");
    }
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)n), 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static inline void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A smooth picture whose colours depend on `colour`, as a JPEG; the caller frees it. */
static inline uint8_t *make_jpeg(int32_t width, int32_t height, unsigned colour, bool grey, size_t *length)
{
    struct sl_jpeg *jpeg;
    uint8_t *bytes, *rgb = calloc((size_t)width * (size_t)height, 3);
    for (int32_t i = 0; i < width * height; i++)
        for (int32_t c = 0; c < 3; c++)
            rgb[i * 3 + c] = (uint8_t)(40 + (colour * (grey ? 37u : 37u + 20u * (unsigned)c)) % 128 +
                                       (unsigned)(i % width * 64 / width));
    assert_ok(sl_jpeg_open(&jpeg));
    assert_ok(sl_jpeg_encode(jpeg, rgb, width, height, 90, &bytes, length));
    sl_jpeg_close(jpeg);
    free(rgb);
    return bytes;
}

static inline void put_jpeg(const char *name, int32_t width, int32_t height, unsigned colour)
{
    size_t length;
    uint8_t *bytes = make_jpeg(width, height, colour, colour % 7 == 3, &length);
    put(name, bytes, length);
    free(bytes);
}

/* ROOT/tree: `classes` folders of `each` images. */
static inline void put_tree(const char *name, int classes, int each)
{
    char path[PATH_ROOM];
    for (int c = 0; c < classes; c++)
        for (int i = 0; i < each; i++) {
            snprintf(path, sizeof path, "%s/class%02d/%d.jpg", name, c, i);
            put_jpeg(path, 16, 16, (unsigned)(c * each + i));
        }
}

static inline struct sl_prepare_options prepare_options(const char *input, const char *output)
{
    return (struct sl_prepare_options){.input = input,
                                       .output = output,
                                       .images_per_file = 8,
                                       .image_size = 16,
                                       .seed = 1,
                                       .val_fraction = -1,
                                       .threads = 1};
}

/* Are two files the same? */
static inline bool same_file(const char *a, const char *b)
{
    uint8_t *x, *y;
    size_t n, m;
    assert_ok(sl_io_read(a, 1 << 30, &x, &n));
    assert_ok(sl_io_read(b, 1 << 30, &y, &m));
    const bool same = n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}
#endif
