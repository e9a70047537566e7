/* Two small prepared sets, one of them compressed, and the options that loaders of them usually have. */
#ifndef SL_TESTS_LOADER_FIXTURE_H
#define SL_TESTS_LOADER_FIXTURE_H

#include "tests/data_fixture.h"

#include "runtime/data/loader.h"
#include "tests/batch_floats.h"

enum { CLASSES = 3, EACH = 13, TRAIN = CLASSES * 12, SIZE = 16 }; /* one of thirteen validates */

static struct sl_dataset *plain, *packed;

static inline struct sl_dataset *prepare(const char *name, bool zstd)
{
    struct sl_dataset *set;
    char *input = strdup(at("tree")), *output = strdup(at(name));
    struct sl_prepare_options options = prepare_options(input, output);
    options.zstd = zstd;
    assert_ok(sl_prepare(&options, &set));
    free(input);
    free(output);
    return set;
}

static inline int open_sets(void **state)
{
    enter(state);
    put_tree("tree", CLASSES, EACH);
    plain = prepare("plain", false);
    packed = prepare("packed", true);
    return 0;
}

static inline int close_sets(void **state)
{
    sl_dataset_close(plain);
    sl_dataset_close(packed);
    return leave(state);
}

static inline struct sl_loader_options usual(void)
{
    return (struct sl_loader_options){.split = "train",
                                      .batch_size = 5,
                                      .seed = 7,
                                      .shuffle = true,
                                      .flip = true,
                                      .crop_padding = 2,
                                      .threads = 1,
                                      .cache_bytes = 1 << 30};
}
#endif
