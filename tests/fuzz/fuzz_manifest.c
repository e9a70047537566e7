/* A checkpoint's manifest.json -> sl_manifest_read, as it is and with its seal set right. What is accepted is written
 * and read again. */
#include "runtime/base/hash.h"
#include "runtime/store/manifest.h"
#include "tests/fuzz/fuzz.h"

static void write_and_read(const struct sl_manifest *manifest)
{
    struct sl_manifest again;
    FUZZ_MUST(unlink(fuzz_path("manifest.json")) == 0);
    FUZZ_MUST(sl_manifest_write(fuzz_folder, manifest) == SL_OK);
    FUZZ_MUST(sl_manifest_read(fuzz_folder, &again) == SL_OK);
    FUZZ_MUST(again.step == manifest->step && again.file_count == manifest->file_count);
    for (size_t i = 0; i < again.file_count; i++) {
        const struct sl_store_entry *a = &manifest->files[i], *b = &again.files[i];
        FUZZ_MUST(sl_manifest_name_valid(a->name) && !strcmp(a->name, b->name));
        FUZZ_MUST(a->bytes == b->bytes && a->hash == b->hash);
    }
    sl_manifest_close(&again);
}

static void judge(const void *bytes, size_t length)
{
    struct sl_manifest manifest;
    fuzz_put("manifest.json", bytes, length);
    if (sl_manifest_read(fuzz_folder, &manifest) != SL_OK)
        return;
    write_and_read(&manifest);
    sl_manifest_close(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    uint64_t seal;
    judge(bytes, length);
    char *copy = fuzz_copy(bytes, length, 0);
    const size_t at = sl_seal_find(copy, length, "\"seal\": \"");
    if (at != SIZE_MAX) {
        FUZZ_MUST(sl_seal_hash(copy, length, at, NULL, 0, &seal) == SL_OK);
        sl_seal_write(copy, at, seal);
        judge(copy, length);
    }
    free(copy);
    return 0;
}
