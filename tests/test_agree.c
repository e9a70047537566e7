/* What ranks agree about: settings and parameters; who is named where they do not. */
#include "comm/agree.h"
#include "runtime/base/hash.h"
#include "tests/flock.h"
#include "tests/strict_device.h"

/* What each rank was told. */
struct told {
    int rc[RANKS_MOST];
    char text[RANKS_MOST][1024];
};

static void tell(struct told *told, int rank, int rc)
{
    told->rc[rank] = rc;
    snprintf(told->text[rank], sizeof told->text[rank], "%s", rc == SL_OK ? "" : sl_last_error());
}

static void assert_told(const struct told *told, int size, int rc, const char *part)
{
    for (int i = 0; i < size; i++) {
        assert_int_equal(told->rc[i], rc);
        assert_string_equal(told->text[i], told->text[0]);
        if (!strstr(told->text[i], part))
            fail_msg("\"%s\" does not say \"%s\"", told->text[i], part);
    }
}

/* ---- settings ---- */

enum { PAIRS = 3 };

struct settings {
    struct sl_agree_pair pairs[RANKS_MOST][PAIRS];
    size_t counts[RANKS_MOST];
    struct told told;
};

static struct settings common_settings(void)
{
    struct settings settings;
    for (int i = 0; i < RANKS_MOST; i++) {
        const struct sl_agree_pair pairs[PAIRS] = {{"version", "1"}, {"batch-size", "32"}, {"seed", ""}};
        memcpy(settings.pairs[i], pairs, sizeof pairs);
        settings.counts[i] = PAIRS;
    }
    return settings;
}

static void agree_pairs(struct flock_rank *rank, void *self)
{
    struct settings *settings = self;
    const int rc =
        sl_agree_pairs(sl_comm_group(rank->comm), settings->pairs[rank->number], settings->counts[rank->number]);
    tell(&settings->told, rank->number, rc);
}

static void assert_settings(struct settings *settings, int size, int rc, const char *part)
{
    flock_fly(size, (struct flock){.body = agree_pairs, .self = settings});
    assert_told(&settings->told, size, rc, part);
}

static void equal_settings_agree(void **state)
{
    (void)state;
    for (int size = 1; size <= RANKS_MOST; size++) {
        struct settings settings = common_settings();
        assert_settings(&settings, size, SL_OK, "");
    }
    assert_int_equal(sl_agree_pairs(NULL, NULL, 0), SL_OK);
}

static void the_first_difference_is_named(void **state)
{
    (void)state;
    struct settings settings = common_settings();
    settings.pairs[2][1].value = "16";
    settings.pairs[1][2].value = "7";
    assert_settings(&settings, 3, SL_DISAGREE, "batch-size is 32 on rank 0 (");
    assert_non_null(strstr(settings.told.text[0], ") and 16 on rank 2 ("));
}

static void the_order_of_keys_does_not_matter(void **state)
{
    (void)state;
    struct settings settings = common_settings();
    settings.pairs[1][0] = (struct sl_agree_pair){"seed", ""};
    settings.pairs[1][2] = (struct sl_agree_pair){"version", "1"};
    assert_settings(&settings, 2, SL_OK, "");
}

static void a_missing_key_is_named(void **state)
{
    (void)state;
    struct settings settings = common_settings();
    settings.counts[1] = 1;
    assert_settings(&settings, 3, SL_DISAGREE, "batch-size is 32 on rank 0 (");
    assert_non_null(strstr(settings.told.text[0], ") and missing on rank 1 ("));
    settings = common_settings();
    settings.counts[0] = settings.counts[2] = 2;
    assert_settings(&settings, 3, SL_DISAGREE, "seed is  on rank 1 (");
    assert_non_null(strstr(settings.told.text[0], ") and missing on rank 0 ("));
}

static void long_and_strange_texts_are_cut(void **state)
{
    (void)state;
    char value[4000];
    struct settings settings = common_settings();
    memset(value, '\033', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    settings.pairs[1][0].value = value;
    assert_settings(&settings, 2, SL_DISAGREE, "version is 1 on rank 0 (");
    assert_non_null(strstr(settings.told.text[0], "????"));
    assert_null(strchr(settings.told.text[0], '\033'));
    assert_non_null(strstr(settings.told.text[0], "on rank 1 ("));
}

/* A group whose other rank sends what a test wants. */
struct hostile {
    const char *text;
    size_t bytes;
};

static int hostile_parts(void *self, const void *mine, size_t bytes, void **all, size_t *offsets)
{
    const struct hostile *hostile = self;
    char *parts = malloc(bytes + hostile->bytes + 1);
    assert_non_null(parts);
    memcpy(parts, mine, bytes);
    /* Exactly as long as announced, so that a reader that goes on is seen. */
    parts = realloc(parts, bytes + hostile->bytes);
    memcpy(parts + bytes, hostile->text, hostile->bytes);
    offsets[0] = 0;
    offsets[1] = bytes;
    offsets[2] = bytes + hostile->bytes;
    *all = parts;
    return SL_OK;
}

static void what_cannot_be_read_is_refused(void **state)
{
    (void)state;
    static const struct hostile texts[] = {{"seed\0001", 6}, {"seed", 5}, {"a\0b\0c", 6}, {"\0", 1}, {"x", 1}};
    static const char *const hosts[] = {"here", "there"};
    const struct sl_agree_pair pair = {"seed", "1"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct hostile hostile = texts[i];
        const struct sl_group group = {0, 2, hosts, &hostile, NULL, hostile_parts};
        assert_int_equal(sl_agree_pairs(&group, &pair, 1), SL_IO);
        assert_string_equal(sl_last_error(), "rank 1 on there sent settings that cannot be read");
    }
}

/* ---- parameters ---- */

enum { TENSORS = 3, FLOATS = 300000 };

struct parameters {
    int64_t lengths[TENSORS];
    struct {
        int rank, tensor;
    } odd[RANKS_MOST];     /* who has a bit of what otherwise */
    int odd_count, strict; /* the rank with a device that the host cannot read; -1: none */
    size_t counts[RANKS_MOST];
    uint64_t hashes[RANKS_MOST];
    struct told told;
};

static struct parameters common_parameters(void)
{
    struct parameters parameters = {.lengths = {7, FLOATS, 1}, .strict = -1};
    for (int i = 0; i < RANKS_MOST; i++)
        parameters.counts[i] = TENSORS;
    return parameters;
}

static void strict_where_wanted(int rank, struct sl_device *device, void *self)
{
    const struct parameters *parameters = self;
    if (rank != parameters->strict)
        return;
    device->close(device->self);
    strict_device_open(1, device);
}

static void agree_tensors(struct flock_rank *rank, void *self)
{
    struct parameters *parameters = self;
    static const char *const names[TENSORS] = {"conv0.bias", "conv0.weight", "gamma"};
    struct sl_agree_tensor tensors[TENSORS];
    float *memory[TENSORS], *host = malloc(FLOATS * sizeof *host);
    for (int t = 0; t < TENSORS; t++) {
        const size_t n = (size_t)parameters->lengths[t];
        for (size_t i = 0; i < n; i++)
            host[i] = flock_float((uint64_t)t, i, 5);
        for (int i = 0; i < parameters->odd_count; i++)
            if (parameters->odd[i].rank == rank->number && parameters->odd[i].tensor == t)
                host[n - 1] = -host[n - 1];
        memory[t] = flock_alloc(&rank->device, n);
        flock_copy(&rank->device, memory[t], host, n);
        tensors[t] = (struct sl_agree_tensor){names[t], memory[t], (int64_t)n};
    }
    tell(&parameters->told, rank->number,
         sl_agree_tensors(sl_comm_group(rank->comm), &rank->device, tensors, parameters->counts[rank->number],
                          &parameters->hashes[rank->number]));
    for (int t = 0; t < TENSORS; t++)
        rank->device.free(rank->device.self, memory[t]);
    free(host);
}

static void assert_parameters(struct parameters *parameters, int size, int rc, const char *part)
{
    flock_fly(size, (struct flock){.body = agree_tensors, .self = parameters, .device = strict_where_wanted});
    assert_told(&parameters->told, size, rc, part);
}

static void equal_parameters_agree(void **state)
{
    (void)state;
    for (int size = 1; size <= 4; size++) {
        struct parameters parameters = common_parameters();
        parameters.strict = size - 1;
        assert_parameters(&parameters, size, SL_OK, "");
        for (int i = 0; i < size; i++)
            assert_true(parameters.hashes[i] != 0 && parameters.hashes[i] == parameters.hashes[0]);
    }
}

static void the_minority_is_named(void **state)
{
    (void)state;
    struct parameters parameters = common_parameters();
    parameters.odd[0].rank = 0;
    parameters.odd[0].tensor = 1;
    parameters.odd_count = 1;
    assert_parameters(&parameters, 3, SL_DISAGREE, "the parameters of rank 0 (");
    assert_non_null(strstr(parameters.told.text[0], ") are not those of rank 1 ("));
    assert_non_null(strstr(parameters.told.text[0], "the first that differs is conv0.weight"));
}

static void of_two_rank_0_is_believed(void **state)
{
    (void)state;
    struct parameters parameters = common_parameters();
    parameters.odd[0].tensor = 2;
    parameters.odd_count = 1;
    parameters.odd[0].rank = 0;
    assert_parameters(&parameters, 2, SL_DISAGREE, "the parameters of rank 1 (");
    assert_non_null(strstr(parameters.told.text[0], "differs is gamma"));
}

static void many_that_differ_are_counted(void **state)
{
    (void)state;
    struct parameters parameters = common_parameters();
    for (int i = 0; i < 2; i++) {
        parameters.odd[i].rank = 5 + i;
        parameters.odd[i].tensor = i;
    }
    parameters.odd_count = 2;
    assert_parameters(&parameters, 8, SL_DISAGREE, "the parameters of rank 5 (");
    assert_non_null(strstr(parameters.told.text[0], "), rank 6 ("));
    assert_non_null(strstr(parameters.told.text[0], "differs is conv0.bias"));
}

static void other_tensors_are_no_crash(void **state)
{
    (void)state;
    struct parameters parameters = common_parameters();
    parameters.counts[1] = 2;
    assert_parameters(&parameters, 3, SL_DISAGREE, "the parameters of rank 1 (");
    assert_non_null(strstr(parameters.told.text[0], "the ranks have other tensors"));
}

/* A device that fails on one rank fails all of them. */
static int refuse_copy(void *self, void *to, const void *from, size_t bytes)
{
    (void)self, (void)to, (void)from;
    return sl_fail(SL_SYSTEM, "no copy of %zu bytes today", bytes);
}

static void fail_to_hash(struct flock_rank *rank, void *self)
{
    float values[2] = {1, 2};
    const struct sl_agree_tensor tensor = {"w", values, 2};
    struct sl_device device = rank->device;
    if (rank->number == 1) {
        device.host_memory = false;
        device.copy = refuse_copy;
    }
    tell(self, rank->number, sl_agree_tensors(sl_comm_group(rank->comm), &device, &tensor, 1, NULL));
}

static void who_cannot_hash_fails_all(void **state)
{
    (void)state;
    struct told told;
    flock_fly(3, (struct flock){.body = fail_to_hash, .self = &told});
    assert_told(&told, 3, SL_SYSTEM, "rank 1 on ");
    assert_non_null(strstr(told.text[0], "no copy of 8 bytes today"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_settings_agree),
        cmocka_unit_test(the_first_difference_is_named),
        cmocka_unit_test(the_order_of_keys_does_not_matter),
        cmocka_unit_test(a_missing_key_is_named),
        cmocka_unit_test(long_and_strange_texts_are_cut),
        cmocka_unit_test(what_cannot_be_read_is_refused),
        cmocka_unit_test(equal_parameters_agree),
        cmocka_unit_test(the_minority_is_named),
        cmocka_unit_test(of_two_rank_0_is_believed),
        cmocka_unit_test(many_that_differ_are_counted),
        cmocka_unit_test(other_tensors_are_no_crash),
        cmocka_unit_test(who_cannot_hash_fails_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
