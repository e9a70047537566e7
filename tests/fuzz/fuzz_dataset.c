/* A prepared set's dataset.json -> sl_dataset_open, as it is and with the right seal at its end. What is accepted is
 * written and read again. */
#include "runtime/data/dataset.h"
#include "runtime/base/hash.h"
#include "tests/fuzz/fuzz.h"

static void write_and_read(const struct sl_dataset *dataset)
{
    struct sl_dataset *again;
    FUZZ_MUST(sl_dataset_write(dataset) == SL_OK);
    FUZZ_MUST(sl_dataset_open(fuzz_folder, &again) == SL_OK);
    FUZZ_MUST(again->class_count == dataset->class_count && again->split_count == dataset->split_count);
    for (size_t i = 0; i < again->split_count; i++) {
        const struct sl_split *split = sl_dataset_split(dataset, again->splits[i].name);
        FUZZ_MUST(split && split->samples == again->splits[i].samples);
        FUZZ_MUST(split->shard_count == again->splits[i].shard_count);
    }
    sl_dataset_close(again);
}

static void judge(const void *bytes, size_t length)
{
    struct sl_dataset *dataset;
    fuzz_put("dataset.json", bytes, length);
    if (sl_dataset_open(fuzz_folder, &dataset) != SL_OK)
        return;
    write_and_read(dataset);
    sl_dataset_close(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char seal[] = "\"xxh3\": \"0123456789abcdef\"\n}\n";
    enum { SEAL_LENGTH = sizeof seal - 1, DIGITS_AT = 9 };
    judge(bytes, length);
    char *copy = fuzz_copy(bytes, length, SEAL_LENGTH);
    size_t sealed = length;
    if (length >= SEAL_LENGTH && !memcmp(copy + length - SEAL_LENGTH, seal, DIGITS_AT))
        sealed = length - SEAL_LENGTH;
    memcpy(copy + sealed, seal, SEAL_LENGTH);
    sl_seal_write(copy, sealed + DIGITS_AT, sl_hash64(copy, sealed));
    judge(copy, sealed + SEAL_LENGTH);
    free(copy);
    return 0;
}
