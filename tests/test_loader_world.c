/* The loader of one rank among others: together they see what one alone sees, each sample once, for any world and
 * across a change of it. */
#include "tests/data_fixture.h"

#include "runtime/base/hash.h"
#include "runtime/data/loader.h"
#include "tests/batch_floats.h"

enum { CLASSES = 3, EACH = 13, TRAIN = CLASSES * 12, SIZE = 16, EPOCHS = 2 };

static struct sl_dataset *set;

static int open_set(void **state)
{
    enter(state);
    put_tree("tree", CLASSES, EACH);
    const struct sl_prepare_options options = prepare_options(at("tree"), at("set"));
    assert_ok(sl_prepare(&options, &set));
    return 0;
}

static int close_set(void **state)
{
    sl_dataset_close(set);
    return leave(state);
}

static struct sl_loader_options usual(int32_t batch_size)
{
    return (struct sl_loader_options){.split = "train",
                                      .batch_size = batch_size,
                                      .seed = 7,
                                      .shuffle = true,
                                      .flip = true,
                                      .crop_padding = 2,
                                      .cache_bytes = 1 << 30};
}

/* Everything that was seen: of each place in the order of its epoch, what was there and how often. */
struct seen {
    uint64_t hash[EPOCHS][TRAIN];
    int times[EPOCHS][TRAIN];
};

static void note(struct seen *seen, const struct sl_batch *batch, const struct sl_loader_options *options)
{
    const uint64_t first = (batch->index + (uint64_t)options->rank) * (uint64_t)options->batch_size;
    const size_t image = (size_t)SIZE * SIZE * 3;
    if (batch->count == 0)
        return;
    float *images = batch_floats(batch, SIZE);
    for (int32_t i = 0; i < batch->count; i++) {
        assert_true(batch->epoch < EPOCHS && first + (uint64_t)i < TRAIN);
        seen->hash[batch->epoch][first + (uint64_t)i] =
            sl_hash64(images + (size_t)i * image, image * sizeof *images) * 31 +
            sl_hash64(batch->keys[i], strlen(batch->keys[i])) * 7 + (uint64_t)batch->labels[i];
        seen->times[batch->epoch][first + (uint64_t)i]++;
    }
    free(images);
}

/* One rank, from a position on, `steps` steps; the position it ends at. */
static void run_rank(const struct sl_loader_options *options, uint64_t *epoch, uint64_t *index, int steps,
                     struct seen *seen)
{
    struct sl_loader *loader;
    const struct sl_batch *batch;
    assert_ok(sl_loader_open(set, options, &loader));
    const uint64_t batches = sl_loader_batches(loader);
    assert_int_equal(batches, (TRAIN + options->batch_size - 1) / options->batch_size);
    assert_ok(sl_loader_seek(loader, *epoch, *index));
    for (int i = 0; i < steps && *epoch < EPOCHS; i++) {
        assert_ok(sl_loader_next(loader, &batch));
        assert_int_equal(batch->epoch, *epoch);
        assert_int_equal(batch->index, *index);
        note(seen, batch, options);
        for (int32_t k = batch->count; k < options->batch_size; k++)
            assert_int_equal(batch->labels[k], 0);
        *index += (uint64_t)(options->world ? options->world : 1);
        *epoch += *index >= batches;
        *index = *index >= batches ? 0 : *index;
    }
    sl_loader_close(loader);
}

/* All ranks of a world. */
static void run_world(struct sl_loader_options options, int world, uint64_t *epoch, uint64_t *index, int steps,
                      struct seen *seen)
{
    const uint64_t from_epoch = *epoch, from_index = *index;
    options.world = world;
    for (options.rank = 0; options.rank < (world ? world : 1); options.rank++) {
        *epoch = from_epoch;
        *index = from_index;
        options.threads = 1 + options.rank % 3;
        options.prefetch = 1 + options.rank % 2;
        options.cache_bytes = options.rank % 2 ? 0 : 1 << 30;
        run_rank(&options, epoch, index, steps, seen);
    }
}

static void assert_complete(const struct seen *seen, const struct seen *wanted)
{
    for (int epoch = 0; epoch < EPOCHS; epoch++)
        for (int i = 0; i < TRAIN; i++)
            assert_int_equal(seen->times[epoch][i], 1);
    assert_memory_equal(seen->hash, wanted->hash, sizeof seen->hash);
}

static const int worlds[] = {0, 1, 2, 3, 7, 8, 50};
static const int32_t batch_sizes[] = {1, 5, 7, 36, 100};

static void every_world_sees_every_sample_once(void **state)
{
    (void)state;
    for (size_t b = 0; b < sizeof batch_sizes / sizeof *batch_sizes; b++) {
        struct seen wanted = {0};
        for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
            struct seen seen = {0};
            uint64_t epoch = 0, index = 0;
            run_world(usual(batch_sizes[b]), worlds[w], &epoch, &index, 1000, &seen);
            assert_true(epoch == EPOCHS && index == 0);
            if (w == 0)
                wanted = seen;
            assert_complete(&seen, &wanted);
        }
    }
}

/* A position that one world has reached is any other's. */
static void worlds_may_change_in_mid_epoch(void **state)
{
    (void)state;
    for (size_t b = 0; b < sizeof batch_sizes / sizeof *batch_sizes; b++) {
        struct seen wanted = {0}, seen = {0};
        uint64_t epoch = 0, index = 0;
        run_world(usual(batch_sizes[b]), 1, &epoch, &index, 1000, &wanted);
        epoch = index = 0;
        for (int k = 0; epoch < EPOCHS; k++)
            run_world(usual(batch_sizes[b]), worlds[(k * 5 + 3) % 6], &epoch, &index, 1 + k % 2, &seen);
        assert_complete(&seen, &wanted);
    }
}

/* Each world's ranks keep in step: all have a batch for every step, some of them an empty one. */
static void ranks_without_a_batch_keep_in_step(void **state)
{
    (void)state;
    struct sl_loader *loader;
    const struct sl_batch *batch;
    struct sl_loader_options options = usual(5);
    options.world = 50;
    options.rank = 49;
    assert_ok(sl_loader_open(set, &options, &loader));
    for (uint64_t epoch = 0; epoch < 30; epoch++) {
        assert_ok(sl_loader_next(loader, &batch));
        assert_true(batch->count == 0 && batch->epoch == epoch && batch->index == 0);
    }
    sl_loader_close(loader);
    options.rank = 50;
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_CONFIG, "rank 50 of 50");
    options.rank = -1;
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_CONFIG, "ranks count from 0");
    options.rank = 0;
    options.world = -2;
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_CONFIG, "rank 0 of -2");
    options.rank = 1;
    options.world = 0;
    assert_fails(sl_loader_open(set, &options, &loader), SL_BAD_CONFIG, "rank 1 of 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_world_sees_every_sample_once),
        cmocka_unit_test(worlds_may_change_in_mid_epoch),
        cmocka_unit_test(ranks_without_a_batch_keep_in_step),
    };
    return cmocka_run_group_tests(tests, open_set, close_set);
}
