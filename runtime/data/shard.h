/* Shards: tar files in the WebDataset convention, plain or compressed as one zstd stream. A sample is two entries side
 * by side: KEY.jpg, the bytes of an image file, and KEY.cls, its class index as text. A shard's bytes depend on its
 * samples alone. */
#ifndef SL_RUNTIME_DATA_SHARD_H
#define SL_RUNTIME_DATA_SHARD_H

#include "runtime/data/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_shard_writer;

/* Begins a shard, which is PATH.tmp until it is finished. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_shard_writer_open(const char *path, bool zstd, struct sl_shard_writer **writer);

/* Appends one sample. `key` is UTF-8, unique, and has no dot, because the extension begins at the first one.
 * SL_CANNOT_CREATE: disk full. SL_IO, SL_SYSTEM. */
int sl_shard_writer_add(struct sl_shard_writer *writer, const char *key, const uint8_t *jpeg, size_t length,
                        int32_t label);

/* Gives the file its name; *shard gets its size, its samples and its hash, but not its name. SL_CANNOT_CREATE, SL_IO.
 */
int sl_shard_writer_finish(struct sl_shard_writer *writer, struct sl_shard *shard);

/* Frees; an unfinished file is removed. NULL is fine. */
void sl_shard_writer_close(struct sl_shard_writer *writer);

struct sl_shard_sample {
    char *key;
    const uint8_t *jpeg; /* owned by the reader */
    size_t length;
    int32_t label;
};

/* An opened shard: its samples, in file order. */
struct sl_shard_reader {
    size_t count;
    struct sl_shard_sample *samples;
    void *map; /* the file; the samples of a plain tar lie in it */
    size_t map_bytes;
    uint8_t **copies; /* the samples of a compressed shard */
    size_t copy_count;
    uint64_t copied_bytes; /* in them */
    uint64_t kept_bytes;   /* in them and the keys: bounded, whatever a compressed shard unpacks to */
};

/* Maps FOLDER/NAME, compares its size and its hash with what dataset.json says, and reads its index. No image is
 * decoded. SL_MISSING. SL_BAD_DATA: damaged, a label that is no class, other samples than promised, or a compressed
 * shard that unpacks to more than 64 MiB and 256 times its bytes. SL_IO, SL_SYSTEM. */
int sl_shard_reader_open(const char *folder, const struct sl_shard *shard, size_t class_count,
                         struct sl_shard_reader *reader);
void sl_shard_reader_close(struct sl_shard_reader *reader); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
