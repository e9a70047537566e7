/* Checkpoints of several ranks that sessions would not write: ranks that contradict each other are refused by all. */
#include "runtime/store/model_json.h"
#include "tests/session_together_fixture.h"

enum { TENSORS = 24 };

struct forgery {
    int rank; /* whose file is changed; -1: all */
    const char *tensor;
    const struct sl_named_tensor *with; /* NULL: it is left out */
    const char *key, *value;            /* of the metadata */
};

static size_t copy_tensors(const struct sl_safetensors *file, const struct forgery *forgery, struct sl_named_tensor *to)
{
    size_t n = 0;
    for (size_t i = 0; i < sl_safetensors_count(file); i++) {
        to[n] = *sl_safetensors_at(file, i);
        if (forgery && forgery->tensor && !strcmp(to[n].name, forgery->tensor)) {
            if (!forgery->with)
                continue;
            to[n] = *forgery->with;
        }
        n++;
    }
    assert_true(n <= TENSORS);
    return n;
}

static size_t copy_metadata(const struct sl_safetensors *file, const struct forgery *forgery, struct sl_text_pair *to)
{
    static const char *const keys[] = {"exchange",     "seed",     "batch-size", "training-samples", "optimizer",
                                       "weight-decay", "data-set", "kernels",    "augmentation",     SL_MODEL_METADATA};
    size_t n = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const bool forged = forgery && forgery->key && !strcmp(forgery->key, keys[i]);
        to[n] = (struct sl_text_pair){keys[i], forged ? forgery->value : sl_safetensors_metadata(file, keys[i])};
        n += to[n].value != NULL;
    }
    return n;
}

/* ckpt-STEP of RUN again in a run of its own, with that change. */
static void forge(const char *name, const struct forgery *forgery)
{
    struct sl_checkpoint from;
    struct sl_store *store;
    static struct sl_named_tensor tensors[RANKS + 2][TENSORS];
    static struct sl_text_pair metadata[RANKS + 2][16];
    struct sl_store_file files[RANKS + 2];
    assert_ok(sl_store_load(at("run"), NULL, NULL, &from));
    assert_true(from.file_count <= RANKS + 2);
    for (size_t i = 0; i < from.file_count; i++) {
        char changed[SL_STORE_NAME];
        sl_checkpoint_rank_name(forgery->rank < 0 ? 0 : forgery->rank, changed);
        const bool meant = forgery->rank < 0 ? !strncmp(from.names[i], "rank-", 5) : !strcmp(from.names[i], changed);
        const struct forgery *change = meant ? forgery : NULL;
        const size_t pairs = copy_metadata(from.files[i], change, metadata[i]);
        const size_t count = copy_tensors(from.files[i], change, tensors[i]);
        files[i] = (struct sl_store_file){from.names[i], tensors[i], count, metadata[i], pairs};
    }
    assert_ok(sl_store_open(at(name), 9, &store));
    assert_ok(sl_store_save(store, from.step, files, from.file_count));
    sl_store_close(store);
    sl_checkpoint_close(&from);
}

/* How it ends for 4 ranks, and for one that reads all. */
struct ending {
    int status, status_alone;
    const char *part, *part_alone;
};

static void assert_ends(const struct forgery *forgery, const struct ending *ending, size_t number)
{
    char name[32];
    snprintf(name, sizeof name, "forged-%zu", number);
    forge(name, forgery);
    for (int alone = 0; alone < 2; alone++) {
        const int wanted = alone ? ending->status_alone : ending->status;
        const int rc = load_run(name, alone ? 1 : RANKS, "threshold, mean", true);
        if (rc != wanted)
            fail_msg("case %zu, alone %d: %d, %s", number, alone, rc, ranks.error[0]);
        if (rc != SL_OK)
            assert_all_end(&ranks, wanted, alone ? ending->part_alone : ending->part);
    }
}

static int enter_and_save(void **state)
{
    if (enter(state))
        return -1;
    make_data();
    save_run("run", RANKS, "threshold, mean", true);
    return 0;
}

static void positions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        int rank;
        uint64_t position[4];
        struct ending ending;
    } cases[] = {
        {-1, {1, 4, 3, 20}, {SL_OK, SL_OK, "", ""}},
        {-1, {0, 3, 3, 15}, {SL_OK, SL_OK, "", ""}},
        {-1, {2, 3, 3, 13}, {SL_OK, SL_OK, "", ""}},
        {-1, {3, 1, 3, 5}, {SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"}},
        {-1, {0, 2, 3, 10}, {SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"}},
        {-1, {4, 0, 3, 0}, {SL_BAD_DATA, SL_BAD_DATA, "is not where", "3 st"}},
        {-1, {1, 6, 3, 9}, {SL_BAD_DATA, SL_BAD_DATA, "an epoch of 5", "of 5"}},
        {-1, {UINT64_MAX, 4, 3, 9}, {SL_BAD_DATA, SL_BAD_DATA, "epoch", "3 s"}},
        {-1, {1, 4, 2, 20}, {SL_BAD_DATA, SL_BAD_DATA, "after 2 steps", "2 s"}},
        {2,
         {1, 3, 3, 20},
         {SL_BAD_DATA, SL_BAD_DATA, "rank 0 and rank 2 go on from contradict",
          "of rank 0 and rank 2 contradict each other"}},
        {0,
         {1, 3, 3, 20},
         {SL_BAD_DATA, SL_BAD_DATA, "rank 0 and rank 1 go on from contradict",
          "of rank 0 and rank 1 contradict each other"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sl_named_tensor with = {"position", SL_U64, 1, {4}, cases[i].position};
        const struct forgery forgery = {.rank = cases[i].rank, "position", &with};
        assert_ends(&forgery, &cases[i].ending, i);
    }
}

static void worlds_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        int rank;
        uint64_t world;
        struct ending ending;
    } cases[] = {
        {1, 3, {SL_BAD_DATA, SL_BAD_DATA, "rank 1 on bee: ", "of rank 0 and rank 1 contradict each other"}},
        {-1,
         3,
         {SL_BAD_DATA, SL_BAD_DATA, "rank 0 says that 3 ranks saved, and there are files of 4", "3 ranks saved"}},
        {-1, 0, {SL_BAD_DATA, SL_BAD_DATA, "1 ranks saved", "1 ranks saved"}},
        {-1, UINT64_MAX, {SL_BAD_DATA, SL_BAD_DATA, "18446744073709551615 ranks saved", "files of 4"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sl_named_tensor with = {"world", SL_U64, 1, {1}, &cases[i].world};
        const struct forgery forgery = {.rank = cases[i].rank, "world", &with};
        assert_ends(&forgery, &cases[i].ending, i);
    }
}

static void ranks_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const float numbers[2];
    static const struct sl_named_tensor shorter = {"exchange.residual", SL_F32, 1, {2}, numbers};
    static const struct {
        struct forgery forgery;
        struct ending ending;
    } cases[] = {
        {{.rank = 3, "world"}, {SL_BAD_DATA, SL_BAD_DATA, "rank 3 on dog: ", "rank 0 and rank 3"}},
        {{.rank = 3, "exchange.residual"},
         {SL_BAD_CONFIG, SL_BAD_CONFIG, "\"exchange.residual\" is missing", "\"exchange.residual\" is missing"}},
        {{.rank = 3, "exchange.residual", &shorter},
         {SL_BAD_CONFIG, SL_BAD_CONFIG, "of another size", "of another size"}},
        {{.rank = 2, "updater.v"}, {SL_BAD_CONFIG, SL_OK, "rank 2 on cat: ", ""}},
        {{.rank = 2, "statistics"}, {SL_BAD_CONFIG, SL_OK, "\"statistics\" is missing", ""}},
        {{.rank = 1, .key = "seed", .value = "9"},
         {SL_BAD_CONFIG, SL_BAD_DATA, "it has seed 9 and this run 1",
          "rank 0 and rank 1 are of two runs: seed 1 and 9"}},
        {{.rank = 1, .key = "exchange"},
         {SL_BAD_CONFIG, SL_BAD_DATA, "it has exchange none and this run threshold, mean",
          "two runs: exchange threshold, mean and none"}},
        {{.rank = 1, .key = "kernels", .value = "others"}, {SL_OK, SL_OK, "", ""}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_ends(&cases[i].forgery, &cases[i].ending, i);
}

#define FORGED(name) cmocka_unit_test_setup_teardown(name, enter_and_save, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FORGED(positions_that_cannot_be_are_refused),
        FORGED(worlds_that_cannot_be_are_refused),
        FORGED(ranks_that_contradict_each_other_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
