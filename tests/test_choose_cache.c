/* Choosing rows from the cache: what was measured is not measured again, unless the cache cannot be trusted. */
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/plan/row_cache.h"
#include "tests/choose_fixture.h"

static void what_was_measured_is_remembered(void **state)
{
    (void)state;
    struct sl_selection rows;
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "remembered in "));
    sl_selection_close(&rows);
    price(0.001, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_string_equal(said, "");
    assert_int_equal(launches[FIRST] + launches[SECOND] + launches[THIRD], 0);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10, from the cache");
    sl_selection_close(&rows);
}

/* Another batch is another shape; both are remembered. */
static void what_is_new_is_measured_and_added(void **state)
{
    (void)state;
    struct sl_selection rows;
    struct sl_choose_options options = options_of(SL_POLICY_FASTEST);
    choose(SL_POLICY_FASTEST, &rows);
    const size_t count = rows.count;
    sl_selection_close(&rows);
    options.batch = 3;
    for (int i = 0; i < 2; i++) {
        price(0.010, 0.020, 0.030);
        MUST(sl_choose_rows(&options, SL_OK, &machine, &rows));
        assert_int_equal(rows.count, 2 * count);
        assert_int_equal(launches[FIRST] > 0, i == 0);
        sl_selection_close(&rows);
    }
    price(0.010, 0.020, 0.030);
    choose(SL_POLICY_FASTEST, &rows);
    assert_int_equal(launches[FIRST], 0);
    sl_selection_close(&rows);
}

static void another_machine_has_another_file(void **state)
{
    (void)state;
    struct sl_row_cache cache, other;
    struct sl_device changed[5] = {machine, machine, machine, machine, machine};
    MUST(sl_row_cache_open(&machine, &cache));
    changed[0].threads = 64;
    changed[1].isa &= ~(uint32_t)SL_AVX512;
    changed[2].row_count--;
    changed[3].host_memory = changed[4].host_memory = false;
    changed[3].name = "cuda:0 (A)";
    changed[4].name = "cuda:0 (B)";
    for (int i = 0; i < 5; i++) {
        MUST(sl_row_cache_open(&changed[i], &other));
        assert_string_not_equal(cache.path, other.path);
        assert_int_equal(strstr(other.of, changed[i].name) != NULL, i >= 3);
        sl_row_cache_close(&other);
    }
    sl_row_cache_close(&cache);
}

/* Writes `text` as the cache, measures anew, and finds a sound cache afterwards. */
static void survives(const char *text)
{
    struct sl_selection rows;
    struct sl_row_cache cache;
    MUST(sl_row_cache_open(&machine, &cache));
    unlink(cache.path);
    FILE *file = fopen(cache.path, "w");
    assert_non_null(file);
    fprintf(file, text, cache.of);
    fclose(file);
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_true(launches[FIRST] > 0);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    sl_selection_close(&rows);
    MUST(sl_row_cache_read(&cache, &rows));
    assert_true(rows.count >= 3);
    sl_selection_close(&rows);
    sl_row_cache_close(&cache);
}

static void a_damaged_cache_is_measured_anew(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "{",
        "[]",
        "{\"of\":\"another\",\"policy\":\"fastest\",\"rows\":{}}",
        "{\"of\":\"%s\",\"policy\":\"slowest\",\"rows\":{}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\"}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{},\"more\":1}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":[]}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":\"first\"}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",-1,2]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",1.5,2]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[\"first\",1,2,3]}}",
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"a\":[1,1,2]}}",
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        survives(refused[i]);
        assert_non_null(strstr(said, "measuring anew: "));
    }
    survives(
        "{\"of\":\"%s\",\"policy\":\"fastest\",\"rows\":{\"training conv2d_fwd 0123456789abcdef\":[\"none\",1,2]}}");
}

/* A row that was known and is not any more. */
static void an_unknown_row_is_measured_anew(void **state)
{
    (void)state;
    struct sl_selection rows;
    struct sl_row_cache cache;
    choose(SL_POLICY_FASTEST, &rows);
    for (size_t i = 0; i < rows.count; i++)
        strcpy(rows.list[i].row, "forgotten");
    MUST(sl_row_cache_open(&machine, &cache));
    MUST(sl_row_cache_write(&cache, &rows));
    sl_row_cache_close(&cache);
    sl_selection_close(&rows);
    price(0.020, 0.005, 0.010);
    choose(SL_POLICY_FASTEST, &rows);
    assert_takes("classes", true, &rows, "second", "fastest: 5 ms, next 10");
    sl_selection_close(&rows);
}

static void without_a_place_nothing_is_kept(void **state)
{
    (void)state;
    struct sl_selection rows;
    char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");
    home = home ? strdup(home) : NULL;
    xdg = xdg ? strdup(xdg) : NULL;
    unsetenv("HOME");
    unsetenv("SL_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "not/absolute", 1);
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "not remembered: SL_CACHE_DIR, XDG_CACHE_HOME and HOME name no folder"));
    sl_selection_close(&rows);
    setenv("SL_CACHE_DIR", "/proc/starling", 1);
    said[0] = '\0';
    choose(SL_POLICY_FASTEST, &rows);
    assert_non_null(strstr(said, "not remembered: /proc/starling"));
    sl_selection_close(&rows);
    unsetenv("XDG_CACHE_HOME");
    if (home)
        setenv("HOME", home, 1);
    if (xdg)
        setenv("XDG_CACHE_HOME", xdg, 1);
    free(home);
    free(xdg);
}

static void the_folder_is_made(void **state)
{
    (void)state;
    char deep[128];
    struct stat info;
    struct sl_selection rows;
    struct sl_row_cache cache;
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    setenv("SL_CACHE_DIR", deep, 1);
    choose(SL_POLICY_FASTEST, &rows);
    MUST(sl_row_cache_open(&machine, &cache));
    assert_int_equal(stat(cache.path, &info), 0);
    sl_row_cache_close(&cache);
    sl_selection_close(&rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_measured_is_remembered),
        CASE(what_is_new_is_measured_and_added),
        CASE(another_machine_has_another_file),
        CASE(a_damaged_cache_is_measured_anew),
        CASE(an_unknown_row_is_measured_anew),
        CASE(without_a_place_nothing_is_kept),
        CASE(the_folder_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
