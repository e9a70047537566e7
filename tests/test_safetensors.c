/* The safetensors format: the bytes that others write, round trips, and files that lie. */
#include <sys/stat.h>

#include "tests/safetensors_fixture.h"

/* The reference library's own vectors: one tensor, nothing, and metadata only. */
static void writes_the_known_bytes(void **state)
{
    (void)state;
    static const char one[] =
        "@\0\0\0\0\0\0\0{\"test\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}    "
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const int32_t zeros[4] = {0};
    const struct sl_named_tensor tensor = {"test", SL_I32, 2, {2, 2}, zeros};
    unsigned char bytes[256];
    uint64_t size, hash;
    assert_int_equal(sl_safetensors_write(path, &tensor, 1, NULL, 0, &size, &hash), SL_OK);
    assert_int_equal(get(bytes, sizeof bytes), sizeof one);
    assert_memory_equal(bytes, one, sizeof one);
    assert_int_equal(size, sizeof one);
    assert_int_equal(hash, sl_hash64(one, sizeof one));

    unlink(path);
    assert_int_equal(sl_safetensors_write(path, NULL, 0, NULL, 0, NULL, NULL), SL_OK);
    assert_int_equal(get(bytes, sizeof bytes), 16);
    assert_memory_equal(bytes, "\x08\0\0\0\0\0\0\0{}      ", 16);
    assert_int_equal(verdict(), SL_OK);

    unlink(path);
    const struct sl_text_pair pair = {"framework", "pt"};
    assert_int_equal(sl_safetensors_write(path, NULL, 0, &pair, 1, NULL, NULL), SL_OK);
    assert_int_equal(get(bytes, sizeof bytes), 48);
    assert_memory_equal(bytes, "\x28\0\0\0\0\0\0\0{\"__metadata__\":{\"framework\":\"pt\"}}     ", 48);
    assert_int_equal(verdict(), SL_OK);
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    struct sl_safetensors *file;
    uint64_t size, hash;
    assert_int_equal(sl_safetensors_write(path, some, SOME, pairs, PAIRS, &size, &hash), SL_OK);
    assert_int_equal(sl_safetensors_open(path, &file), SL_OK);
    assert_int_equal(sl_safetensors_count(file), SOME);
    for (size_t i = 0; i < SOME; i++)
        assert_same(&some[i], sl_safetensors_find(file, some[i].name));
    assert_string_equal(sl_safetensors_at(file, 0)->name, "counter");
    assert_string_equal(sl_safetensors_at(file, SOME - 1)->name, "labels");
    assert_null(sl_safetensors_at(file, SOME));
    assert_null(sl_safetensors_find(file, "weight"));
    assert_string_equal(sl_safetensors_metadata(file, "starling"), pairs[0].value);
    assert_string_equal(sl_safetensors_metadata(file, "empty"), "");
    assert_null(sl_safetensors_metadata(file, "absent"));
    assert_int_equal(sl_safetensors_bytes(file), size);
    assert_int_equal(sl_safetensors_hash(file), hash);
    sl_safetensors_close(file);
    sl_safetensors_close(NULL);
}

static void refuses_to_write_nonsense(void **state)
{
    (void)state;
    const struct sl_named_tensor twice[] = {some[1], some[1]};
    const struct sl_named_tensor latin1 = {"\xe9", SL_F32, 1, {1}, weights};
    const struct sl_named_tensor negative = {"a", SL_F32, 1, {-1}, weights};
    const struct sl_named_tensor huge = {"a", SL_F64, 3, {INT64_C(1) << 30, INT64_C(1) << 30, 8}, weights};
    const struct sl_named_tensor deep = {"a", SL_F32, 9, {1}, weights};
    const struct sl_named_tensor strange = {"a", (enum sl_dtype)77, 1, {1}, weights};
    const struct sl_named_tensor reserved = {"__metadata__", SL_F32, 1, {1}, weights};
    const struct sl_text_pair same[] = {{"a", "b"}, {"a", "c"}}, bad = {"a", "\xff"};
    assert_int_equal(sl_safetensors_write(path, twice, 2, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &latin1, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &negative, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &huge, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &deep, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &strange, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, &reserved, 1, NULL, 0, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, some, SOME, same, 2, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, some, SOME, &bad, 1, NULL, NULL), SL_BAD_DATA);
    assert_int_equal(access(path, F_OK), -1);
    put("x", 1);
    assert_int_equal(sl_safetensors_write(path, some, SOME, NULL, 0, NULL, NULL), SL_CANNOT_CREATE);
    unsigned char kept[2];
    assert_int_equal(get(kept, 2), 1);
}

#define TEST(info) "{\"test\":{" info "}}"
#define AT(dtype, shape, offsets) "\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets

static void judges_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        int status;
    } cases[] = {
        {"{}\r \t\n", 0, SL_OK},
        {TEST(AT("I32", "[2,2]", "[0,16]")), 16, SL_OK},
        {TEST(AT("I32", "[]", "[0,4]")), 4, SL_OK},
        {TEST(AT("I32", "[2,0]", "[0,0]")), 0, SL_OK},
        {"{\"a\":{" AT("U8", "[1]", "[0,1]") "},\"b\":{" AT("F64", "[1]", "[1,9]") "}}", 9, SL_OK},
        {" {}", 0, SL_BAD_DATA},
        {"", 0, SL_BAD_DATA},
        {"{", 0, SL_BAD_DATA},
        {"\xff", 0, SL_BAD_DATA},
        {"{\"\xff\":1}", 0, SL_BAD_DATA},
        {"{} x", 0, SL_BAD_DATA},
        {"{}{}", 0, SL_BAD_DATA},
        {"[]", 0, SL_BAD_DATA},
        {"{\"test\":1}", 0, SL_BAD_DATA},
        {"{\"test\":{\"a\":[[[[]]]]}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":[]}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"a\":1}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"" SL_SAFETENSORS_SEAL "\":\"0000000000000000\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"" SL_SAFETENSORS_SEAL "\":\"some\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"" SL_SAFETENSORS_SEAL "\":\"none\"}}", 0, SL_OK},
        {"{\"__metadata__\":{\"starling\":\"{}\",\"" SL_SAFETENSORS_SEAL "\":\"none\"}}", 0, SL_OK},
        {"{\"__metadata__\":{\"starling\":\"{}\"}}", 0, SL_OK},
        {"{\"__metadata__\":{\"starling\":\"{}\",\"rtarling.xxh3\":\"0123456789abcdef\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"starling.xxh4\":\"none\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"starling.\":\"\"}}", 0, SL_BAD_DATA},
        {"{\"__metadata__\":{\"starlings\":\"\",\"format\":\"pt\"}}", 0, SL_OK},
        {TEST(AT("I32", "[2,2]", "[0,16]")), 15, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,16]")), 17, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,4]")), 4, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[4,20]")), 20, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[16,0]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,16,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "{}")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,-2]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[-2,-2]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2.0,2]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,1.6e1]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[\"2\",2]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "4", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[1,1,1,1,1,1,1,1,4]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I33", "[2,2]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("BOOL", "[2]", "[0,2]")), 2, SL_BAD_DATA},
        {TEST("\"dtype\":5,\"shape\":[2,2],\"data_offsets\":[0,16]"), 16, SL_BAD_DATA},
        {TEST("\"dtype\":\"I32\",\"shape\":[2,2]"), 16, SL_BAD_DATA},
        {TEST("\"shape\":[2,2],\"data_offsets\":[0,16]"), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,16]") ",\"more\":1"), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[0,16]") ",\"dtype\":\"I32\""), 16, SL_BAD_DATA},
        {"{\"a\":{" AT("U8", "[2]", "[0,2]") "},\"a\":{" AT("U8", "[2]", "[2,4]") "}}", 4, SL_BAD_DATA},
        {"{\"a\":{" AT("U8", "[2]", "[0,2]") "},\"b\":{" AT("U8", "[2]", "[0,2]") "}}", 2, SL_BAD_DATA},
        {"{\"a\":{" AT("U8", "[2]", "[0,2]") "},\"b\":{" AT("U8", "[2]", "[1,3]") "}}", 3, SL_BAD_DATA},
        {"{\"a\":{" AT("U8", "[2]", "[0,2]") "},\"b\":{" AT("U8", "[2]", "[3,5]") "}}", 5, SL_BAD_DATA},
        {"{\"a\\nb\":{" AT("U8", "[2]", "[0,2]") "}}", 2, SL_BAD_DATA},
        /* Products and offsets that overflow. */
        {TEST(AT("I32", "[2,18446744073709551614]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,9223372036854775807]", "[0,16]")), 16, SL_BAD_DATA},
        {TEST(AT("F64", "[4294967296,4294967296]", "[0,0]")), 0, SL_BAD_DATA},
        {TEST(AT("F64", "[2305843009213693952]", "[0,0]")), 0, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[9223372036854775800,9223372036854775816]")), 16, SL_BAD_DATA},
        {TEST(AT("I32", "[2,2]", "[18446744073709551600,0]")), 16, SL_BAD_DATA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (verdict_of(cases[i].header, cases[i].data) != cases[i].status)
            fail_msg("header %s with %zu bytes: %s", cases[i].header, cases[i].data, sl_last_error());
}

/* Another writer may leave a double at an odd offset. */
static void aligns_what_it_reads(void **state)
{
    (void)state;
    struct sl_safetensors *file;
    assert_int_equal(verdict_of("{\"a\":{" AT("U8", "[1]", "[0,1]") "},\"b\":{" AT("F64", "[1]", "[1,9]") "}}", 9),
                     SL_OK);
    assert_int_equal(sl_safetensors_open(path, &file), SL_OK);
    const struct sl_named_tensor *tensor = sl_safetensors_find(file, "b");
    assert_int_equal((uintptr_t)tensor->data % sizeof(double), 0);
    assert_true(*(const double *)tensor->data == 0);
    sl_safetensors_close(file);
}

static void judges_lengths(void **state)
{
    (void)state;
    put("", 0);
    assert_int_equal(verdict(), SL_BAD_DATA);
    put("<\0\0\0\0\0\0\0", 8);
    assert_int_equal(verdict(), SL_BAD_DATA);
    put("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10);
    assert_int_equal(verdict(), SL_BAD_DATA);
    put("\x01\xe1\xf5\x05\0\0\0\0{}", 10); /* 100,000,001 */
    assert_int_equal(verdict(), SL_BAD_DATA);
    assert_non_null(strstr(sl_last_error(), "limit"));
}

/* A header that would take gigabytes to parse, and one as deep as it is long. */
static void bounds_what_it_parses(void **state)
{
    (void)state;
    const size_t n = 4 << 20;
    char *text = malloc(n + 1);
    text[n] = '\0';
    memset(text, '[', n);
    memcpy(text, "{\"a\":", 5);
    assert_int_equal(verdict_of(text, 0), SL_BAD_DATA);
    for (size_t i = 6; i < n; i++)
        text[i] = i % 2 ? ',' : '1';
    assert_int_equal(verdict_of(text, 0), SL_BAD_DATA);
    assert_non_null(strstr(sl_last_error(), "values"));
    free(text);
}

static void names_what_is_not_there(void **state)
{
    (void)state;
    struct sl_safetensors *file;
    assert_int_equal(sl_safetensors_open(path, &file), SL_MISSING);
    assert_null(file);
    assert_int_equal(sl_safetensors_open(folder, &file), SL_BAD_DATA);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sl_safetensors_open(path, &file), SL_BAD_DATA);
    unlink(path);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(sl_safetensors_open(path, &file), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_open_nofollow(path, &file), SL_BAD_DATA);
    assert_int_equal(sl_safetensors_write(path, NULL, 0, NULL, 0, NULL, NULL), SL_CANNOT_CREATE);
}

static void hashes_as_xxh3(void **state)
{
    (void)state;
    /* The published values of XXH3-64 with seed 0: the empty input, and "a". */
    assert_true(sl_hash64("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(sl_hash64("a", 1) == UINT64_C(0xe6c632b61e964e1f));
    char bytes[1000], text[SL_HASH_DIGITS + 1];
    struct sl_hash *hash;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31);
    assert_int_equal(sl_hash_open(&hash), SL_OK);
    sl_hash_update(hash, bytes, 1);
    sl_hash_update(hash, NULL, 0);
    sl_hash_update(hash, bytes + 1, 600);
    sl_hash_update(hash, bytes + 601, 399);
    assert_true(sl_hash_digest(hash) == sl_hash64(bytes, sizeof bytes));
    sl_hash_close(hash);
    uint64_t back;
    sl_hash_text(UINT64_C(0x00ab), text);
    assert_string_equal(text, "00000000000000ab");
    assert_true(sl_hash_parse(text, &back) && back == 0xab);
    assert_false(sl_hash_parse("00000000000000AB", &back));
    assert_false(sl_hash_parse("ab", &back));
    assert_false(sl_hash_parse("00000000000000ab0", &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(writes_the_known_bytes), CASE(reads_what_it_wrote),     CASE(refuses_to_write_nonsense),
        CASE(judges_headers),         CASE(aligns_what_it_reads),    CASE(judges_lengths),
        CASE(bounds_what_it_parses),  CASE(names_what_is_not_there), cmocka_unit_test(hashes_as_xxh3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
