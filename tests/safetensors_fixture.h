/* One safetensors file in a temporary folder, judged after each change. */
#ifndef SL_TESTS_SAFETENSORS_FIXTURE_H
#define SL_TESTS_SAFETENSORS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/hash.h"
#include "runtime/store/safetensors.h"

static char folder[64], path[128];

static inline int enter(void **state)
{
    (void)state;
    strcpy(folder, access("/dev/shm", W_OK) ? "/tmp/sl-safetensors-XXXXXX" : "/dev/shm/sl-safetensors-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    return 0;
}

static inline int leave(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static inline void put(const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static inline size_t get(unsigned char *bytes, size_t cap)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, cap, file);
    fclose(file);
    return n;
}

/* Opens what is in the file and closes it at once. */
static inline int verdict(void)
{
    struct sl_safetensors *file = NULL;
    sl_clear_error();
    const int rc = sl_safetensors_open(path, &file);
    assert_true((rc == SL_OK) == (file != NULL));
    assert_true(rc == SL_OK || strstr(sl_last_error(), path));
    sl_safetensors_close(file);
    return rc;
}

/* A file of that header, given as text, and `data` zero bytes. */
static inline int verdict_of(const char *header, size_t data)
{
    const size_t n = strlen(header);
    unsigned char *bytes = calloc(8 + n + data, 1);
    bytes[0] = (unsigned char)n;
    bytes[1] = (unsigned char)(n >> 8);
    bytes[2] = (unsigned char)(n >> 16);
    memcpy(bytes + 8, header, n);
    put(bytes, 8 + n + data);
    free(bytes);
    return verdict();
}

static const float weights[6] = {1, -2, 3.5f, 0, -0.0f, 1e-40f};
static const uint8_t labels[3] = {7, 0, 255};
static const uint64_t counters[1] = {0x123456789abcdef0u};
static const struct sl_named_tensor some[] = {
    {"labels", SL_U8, 1, {3}, labels},
    {"weights", SL_F32, 2, {2, 3}, weights},
    {"none", SL_F32, 2, {0, 5}, NULL},
    {"counter", SL_U64, 0, {0}, counters},
};
enum { SOME = sizeof some / sizeof some[0] };
static const struct sl_text_pair pairs[] = {
    {"starling", "{\"layers\": [\"a\\b\"]}\n\xc3\xa9"}, {"empty", ""}, {SL_SAFETENSORS_SEAL, ""}};
enum { PAIRS = sizeof pairs / sizeof pairs[0] };

static inline void assert_same(const struct sl_named_tensor *a, const struct sl_named_tensor *b)
{
    uint64_t bytes;
    assert_non_null(b);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    for (int32_t i = 0; i < a->rank; i++)
        assert_int_equal(a->shape[i], b->shape[i]);
    assert_int_equal(sl_named_tensor_bytes(a, &bytes), SL_OK);
    assert_int_equal((uintptr_t)b->data % sl_dtype_bytes(a->dtype), 0);
    if (bytes > 0)
        assert_memory_equal(a->data, b->data, bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)
#endif
