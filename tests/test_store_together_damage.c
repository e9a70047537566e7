/* The checkpoint store of several ranks, damaged and lied to: what is not whole for one is refused by all. */
#include "tests/store_together_fixture.h"

/* ---- Damage ---- */

static void assert_falls_back(const char *reason)
{
    static const int worlds[] = {4, 2, 3, 8, 1};
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        assert_loads(worlds[w], OLD);
        assert_non_null(strstr(loaded[0].told, "checkpoint ckpt-20 refused: "));
        assert_non_null(strstr(loaded[0].told, reason));
        for (int i = 1; i < worlds[w]; i++)
            assert_string_equal(loaded[i].told, "");
    }
}

static void what_is_damaged_for_one_is_refused_by_all(void **state)
{
    (void)state;
    struct sl_safetensors *model;
    save_all(2, OLD, NEW);
    FILE *file = fopen(in_run("ckpt-20/rank-0003.safetensors"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(0x55, file), 0x55);
    assert_int_equal(fclose(file), 0);
    assert_falls_back("rank-0003.safetensors");
    assert_int_equal(load_by(RANKS), SL_OK);
    assert_non_null(strstr(loaded[0].told, "rank 3 on dog: "));
    /* It lacks nothing that a model needs. */
    assert_int_equal(sl_store_open_model(run, note, NULL, &model), SL_OK);
    assert_true(*(const float *)sl_safetensors_find(model, "w")->data == NEW);
    sl_safetensors_close(model);
    /* Listed, and not there. */
    assert_int_equal(unlink(in_run("ckpt-20/rank-0003.safetensors")), 0);
    assert_falls_back("rank-0003.safetensors");
    assert_int_equal(sl_store_open_model(in_run("last-good"), NULL, NULL, &model), SL_OK);
    sl_safetensors_close(model);
    assert_int_equal(truncate(in_run("ckpt-10/rank-0001.safetensors"), 9), 0);
    assert_int_equal(load_by(RANKS), SL_BAD_DATA);
    assert_all_end(&ranks, SL_BAD_DATA, "none of the 2 checkpoints is whole");
}

/* ---- The acts one by one ---- */

static void act_puts(uint64_t step, int rank, struct sl_store_entry *entry)
{
    char name[SL_STORE_NAME];
    const float value = (float)rank;
    const struct sl_named_tensor own = {"own", SL_F32, 0, {0}, &value};
    sl_checkpoint_rank_name(rank, name);
    const struct sl_store_file file = {name, &own, 1, NULL, 0};
    assert_int_equal(sl_store_put(run, step, &file, entry), SL_OK);
}

static void begin_and_put(struct sl_store *store, struct sl_store_entry entries[3])
{
    bool saved;
    assert_int_equal(sl_store_begin(store, NEW, &saved), SL_OK);
    assert_false(saved);
    for (int i = 0; i < 3; i++)
        act_puts(NEW, i, &entries[i]);
}

enum { LIES = 6 };

/* After the last of LIES: what only reading tells apart. */
static void lie(int which, struct sl_store_entry entries[3])
{
    switch (which) {
    case 0:
        entries[1].bytes++;
        break;
    case 1:
        strcpy(entries[1].name, "../rank-0001.safetensors");
        break;
    case 2:
        memset(entries[1].name, 'a', sizeof entries[1].name);
        break;
    case 3:
        strcpy(entries[1].name, entries[0].name);
        break;
    case 4:
        strcpy(entries[1].name, "rank-0009.safetensors");
        break;
    case 5:
        assert_int_equal(unlink(in_run("ckpt-20.tmp/rank-0001.safetensors")), 0);
        assert_int_equal(symlink("rank-0000.safetensors", in_run("ckpt-20.tmp/rank-0001.safetensors")), 0);
        break;
    default:
        entries[1].hash = 0;
    }
}

static void commit_believes_nobody(void **state)
{
    (void)state;
    bool saved;
    struct sl_store_entry entries[3];
    struct sl_store *store = open_store(1);
    const struct sl_store_file file = {"rank-0000.safetensors", NULL, 0, NULL, 0};
    assert_int_equal(sl_store_put(run, NEW, &file, entries), SL_CANNOT_CREATE); /* not begun */
    assert_int_equal(sl_store_begin(store, UINT64_MAX, &saved), SL_INTERNAL);
    for (int i = 0; i <= LIES; i++) {
        char detail[512];
        begin_and_put(store, entries);
        lie(i, entries);
        const int rc = sl_store_commit(store, NEW, entries, 3);
        assert_true(i == LIES ? rc == SL_OK : rc != SL_OK);
        snprintf(detail, sizeof detail, "%s", sl_last_error());
        sl_store_abandon(store, NEW);
        assert_string_equal(sl_last_error(), detail);
        assert_true(exists("ckpt-20") == (i == LIES));
    }
    assert_int_equal(load_by(RANKS), SL_BAD_DATA);
    begin_and_put(store, entries);
    assert_int_equal(sl_store_commit(store, NEW, entries, 3), SL_OK);
    assert_int_equal(sl_store_begin(store, NEW, &saved), SL_OK);
    assert_true(saved && !exists("ckpt-20.tmp"));
    sl_store_close(store);
}

static void a_world_with_gaps_is_refused(void **state)
{
    (void)state;
    bool saved;
    struct sl_checkpoint checkpoint;
    struct sl_store_entry entries[2];
    struct sl_store *store = open_store(1);
    static const int numbers[][2] = {{0, 2}, {1, 2}, {0, 9999}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(sl_store_begin(store, 10 * i + 10, &saved), SL_OK);
        for (int k = 0; k < 2; k++)
            act_puts(10 * i + 10, numbers[i][k], &entries[k]);
        assert_int_equal(sl_store_commit(store, 10 * i + 10, entries, 2), SL_OK);
        assert_int_equal(sl_store_load(run, NULL, NULL, &checkpoint), SL_BAD_DATA);
        assert_non_null(strstr(sl_last_error(), "among only 2 of ranks"));
    }
    sl_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_damaged_for_one_is_refused_by_all),
        CASE(commit_believes_nobody),
        CASE(a_world_with_gaps_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
