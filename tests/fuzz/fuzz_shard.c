/* A promised number of samples (one byte) and a shard -> sl_shard_reader_open: with a wrong hash, with the right one,
 * with the checksums of its tar headers set right, and that as a zstd stream. */
#include "runtime/data/shard.h"
#include "runtime/base/hash.h"
#include "tests/fuzz/fuzz.h"

enum { BLOCK = 512, CHECKSUM_AT = 148, CHECKSUM_LENGTH = 8, MAGIC_AT = 257, MAX_SAMPLES = 8, CLASSES = 10 };
enum { FRAME_HEADER = 6, CHUNK_HEADER = 3, CHUNK = 1 << 16 };

static int judge(const void *bytes, size_t length, uint64_t samples, uint64_t hash)
{
    struct sl_shard_reader reader;
    const struct sl_shard shard = {.name = "input.tar", .bytes = length, .samples = samples, .hash = hash};
    fuzz_put("input.tar", bytes, length);
    const int rc = sl_shard_reader_open(fuzz_folder, &shard, CLASSES, &reader);
    for (size_t i = 0; i < reader.count; i++) {
        FUZZ_MUST(reader.samples[i].label >= 0 && reader.samples[i].label < CLASSES);
        FUZZ_MUST(reader.samples[i].key[0] && !strchr(reader.samples[i].key, '.'));
        fuzz_touch(reader.samples[i].jpeg, reader.samples[i].length);
    }
    FUZZ_MUST(reader.count == (rc == SL_OK ? samples : 0));
    sl_shard_reader_close(&reader);
    return rc;
}

static void repair_checksums(char *tar, size_t length)
{
    for (char *block = tar; block + BLOCK <= tar + length; block += BLOCK) {
        unsigned sum = 0;
        if (memcmp(block + MAGIC_AT, "ustar", 5))
            continue;
        memset(block + CHECKSUM_AT, ' ', CHECKSUM_LENGTH);
        for (int i = 0; i < BLOCK; i++)
            sum += (unsigned char)block[i];
        snprintf(block + CHECKSUM_AT, CHECKSUM_LENGTH - 1, "%06o", sum);
    }
}

/* A zstd frame of stored blocks: magic, no flags, a window of 1 MiB; a block's header is last | length << 3. */
static char *wrap(const char *tar, size_t length, size_t *wrapped)
{
    const size_t chunks = length / CHUNK + 1;
    char *frame = malloc(FRAME_HEADER + chunks * CHUNK_HEADER + length), *to = frame + FRAME_HEADER;
    FUZZ_MUST(frame != NULL);
    memcpy(frame, "\x28\xb5\x2f\xfd\x00\x50", FRAME_HEADER);
    for (size_t i = 0; i < chunks; i++) {
        const size_t n = i + 1 < chunks ? CHUNK : length % CHUNK, header = (i + 1 == chunks) | n << 3;
        for (int k = 0; k < CHUNK_HEADER; k++)
            *to++ = (char)(header >> 8 * k);
        memcpy(to, tar + i * CHUNK, n);
        to += n;
    }
    *wrapped = (size_t)(to - frame);
    return frame;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    if (length < 2)
        return 0;
    const uint64_t samples = bytes[0] % (MAX_SAMPLES + 1);
    char *tar = fuzz_copy(bytes + 1, --length, 0);
    FUZZ_MUST(judge(tar, length, samples, ~sl_hash64(tar, length)) != SL_OK);
    judge(tar, length, samples, sl_hash64(tar, length));
    repair_checksums(tar, length);
    const int plain = judge(tar, length, samples, sl_hash64(tar, length));
    size_t wrapped;
    char *frame = wrap(tar, length, &wrapped);
    const int packed = judge(frame, wrapped, samples, sl_hash64(frame, wrapped));
    FUZZ_MUST(plain != SL_OK || packed == SL_OK || !memcmp(tar, "\x28\xb5\x2f\xfd", 4));
    free(frame);
    free(tar);
    return 0;
}
