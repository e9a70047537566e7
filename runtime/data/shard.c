#include "runtime/data/shard.h"

#include <assert.h>
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"
#include "runtime/base/output.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/tar.h"
#include "runtime/base/hash.h"

enum { BLOCK_BYTES = 1 << 20, LABEL_DIGITS = 16 };

/* What a shard may unpack to. JPEGs hardly shrink, and a forged shard of one repeated byte would fill any memory. */
enum { KEPT_FLOOR = 64 << 20, KEPT_RATIO = 256 };

/* ---- writing ---- */

struct sl_shard_writer {
    struct archive *archive;
    struct archive_entry *entry;
    struct sl_output *output;
    struct sl_hash *hash;
    uint64_t bytes, samples;
    int status; /* of the first failed write */
};

static la_ssize_t write_block(struct archive *archive, void *self, const void *bytes, size_t n)
{
    struct sl_shard_writer *writer = self;
    (void)archive;
    if (writer->status == SL_OK)
        writer->status = sl_output_write(writer->output, bytes, n);
    if (writer->status != SL_OK)
        return -1;
    sl_hash_update(writer->hash, bytes, n);
    writer->bytes += n;
    return (la_ssize_t)n;
}

/* libarchive's verdict as ours: a failed write has left its own detail. */
static int translate(const struct sl_shard_writer *writer, int code)
{
    if (code == ARCHIVE_OK)
        return SL_OK;
    if (writer->status != SL_OK)
        return writer->status;
    return sl_fail(SL_INTERNAL, "cannot write a tar file: %s", archive_error_string(writer->archive));
}

/* libarchive passes the bytes on, through the compressor if there is one; the tar format is ours (tar.h). */
static int open_archive(struct sl_shard_writer *writer, bool zstd)
{
    int rc = SL_OK;
    SL_TRY(translate(writer, archive_write_set_format_raw(writer->archive)));
    SL_TRY(translate(writer, archive_write_set_bytes_per_block(writer->archive, BLOCK_BYTES)));
    SL_TRY(translate(writer, archive_write_set_bytes_in_last_block(writer->archive, 1)));
    if (zstd)
        SL_TRY(translate(writer, archive_write_add_filter_zstd(writer->archive)));
    SL_TRY(translate(writer, archive_write_open(writer->archive, writer, NULL, write_block, NULL)));
    archive_entry_set_filetype(writer->entry, AE_IFREG);
    SL_TRY(translate(writer, archive_write_header(writer->archive, writer->entry)));
out:
    return rc;
}

int sl_shard_writer_open(const char *path, bool zstd, struct sl_shard_writer **writer)
{
    int rc = SL_OK;
    struct sl_shard_writer *self = calloc(1, sizeof *self);
    *writer = NULL;
    if (!self || !(self->archive = archive_write_new()) || !(self->entry = archive_entry_new()))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    SL_TRY(sl_hash_open(&self->hash));
    SL_TRY(sl_output_open(path, &self->output));
    SL_TRY(open_archive(self, zstd));
    *writer = self;
    self = NULL;
out:
    sl_shard_writer_close(self);
    return rc;
}

static int put(struct sl_shard_writer *writer, const void *bytes, size_t n)
{
    const la_ssize_t taken = n ? archive_write_data(writer->archive, bytes, n) : 0;
    return translate(writer, taken == (la_ssize_t)n ? ARCHIVE_OK : ARCHIVE_FATAL);
}

static int add_file(struct sl_shard_writer *writer, const char *key, const char *extension, const void *bytes, size_t n)
{
    static const uint8_t zeros[SL_TAR_BLOCK];
    int rc = SL_OK;
    char *name = NULL;
    uint8_t *header = NULL;
    size_t length = 0;
    if (asprintf(&name, "%s.%s", key, extension) < 0) {
        name = NULL;
        SL_FAIL(SL_SYSTEM, "out of memory for the name %s", key);
    }
    SL_TRY(sl_tar_header(name, n, &header, &length));
    SL_TRY(put(writer, header, length));
    SL_TRY(put(writer, bytes, n));
    SL_TRY(put(writer, zeros, sl_tar_padding(n)));
out:
    free(header);
    free(name);
    return rc;
}

int sl_shard_writer_add(struct sl_shard_writer *writer, const char *key, const uint8_t *jpeg, size_t length,
                        int32_t label)
{
    int rc = SL_OK;
    char text[LABEL_DIGITS];
    assert(label >= 0 && *key && !strpbrk(key, "./"));
    const int digits = snprintf(text, sizeof text, "%d", label);
    SL_TRY(add_file(writer, key, "jpg", jpeg, length));
    SL_TRY(add_file(writer, key, "cls", text, (size_t)digits));
    writer->samples++;
out:
    return rc;
}

int sl_shard_writer_finish(struct sl_shard_writer *writer, struct sl_shard *shard)
{
    static const uint8_t end[2 * SL_TAR_BLOCK];
    int rc = SL_OK;
    SL_TRY(put(writer, end, sizeof end));
    SL_TRY(translate(writer, archive_write_close(writer->archive)));
    SL_TRY(sl_output_commit(writer->output));
    shard->bytes = writer->bytes;
    shard->samples = writer->samples;
    shard->hash = sl_hash_digest(writer->hash);
out:
    return rc;
}

void sl_shard_writer_close(struct sl_shard_writer *writer)
{
    if (!writer)
        return;
    if (writer->status == SL_OK)
        writer->status = SL_IO; /* what libarchive flushes while it is freed goes nowhere */
    archive_entry_free(writer->entry);
    archive_write_free(writer->archive);
    sl_output_close(writer->output);
    sl_hash_close(writer->hash);
    free(writer);
}

/* ---- reading ---- */

void sl_shard_reader_close(struct sl_shard_reader *reader)
{
    for (size_t i = 0; reader->samples && i < reader->count; i++)
        free(reader->samples[i].key);
    for (size_t i = 0; reader->copies && i < reader->copy_count; i++)
        free(reader->copies[i]);
    free(reader->samples);
    free(reader->copies);
    if (reader->map)
        munmap(reader->map, reader->map_bytes);
    *reader = (struct sl_shard_reader){0};
}

static int map_file(const char *path, const struct sl_shard *shard, struct sl_shard_reader *reader)
{
    int rc = SL_OK;
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        SL_FAIL(errno == ENOENT ? SL_MISSING : SL_IO, "cannot open it: %s", strerror(errno));
    if (fstat(fd, &status) != 0)
        SL_FAIL(SL_IO, "cannot examine it: %s", strerror(errno));
    if (!S_ISREG(status.st_mode) || (uint64_t)status.st_size != shard->bytes || shard->bytes == 0)
        SL_FAIL(SL_BAD_DATA, "%lld bytes, not the %" PRIu64 " it was written with", (long long)status.st_size,
                shard->bytes);
    void *map = mmap(NULL, (size_t)shard->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        SL_FAIL(SL_SYSTEM, "cannot map %" PRIu64 " bytes: %s", shard->bytes, strerror(errno));
    reader->map = map;
    reader->map_bytes = (size_t)shard->bytes;
    if (sl_hash64(map, reader->map_bytes) != shard->hash)
        SL_FAIL(SL_BAD_DATA, "its hash is not the one it was written with: damaged or changed");
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Counts what the reader is about to keep in memory of its own. */
static int keep(struct sl_shard_reader *reader, uint64_t bytes)
{
    reader->kept_bytes += bytes;
    if (reader->kept_bytes <= KEPT_FLOOR + reader->map_bytes * (uint64_t)KEPT_RATIO)
        return SL_OK;
    return sl_fail(SL_BAD_DATA,
                   "its %zu bytes unpack to more than %d times as many; copies of one image are prepared "
                   "with --compress none",
                   reader->map_bytes, KEPT_RATIO);
}

/* One file of the archive, whole. libarchive hands out pointers into the mapped file for a plain tar. */
static int read_entry(struct archive *archive, struct archive_entry *entry, struct sl_shard_reader *reader,
                      const uint8_t **bytes, size_t *length)
{
    int rc = SL_OK;
    const void *block = NULL;
    size_t n = 0;
    la_int64_t offset = 0;
    const la_int64_t size = archive_entry_size(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || size < 1 || size > SL_JPEG_MAX_BYTES)
        SL_FAIL(SL_BAD_DATA, "an entry of %lld bytes", (long long)size);
    if (archive_read_data_block(archive, &block, &n, &offset) != ARCHIVE_OK || offset != 0)
        SL_FAIL(SL_BAD_DATA, "%s", archive_error_string(archive));
    const uint8_t *at = block, *map = reader->map;
    *length = (size_t)size;
    if (n == (size_t)size && at >= map && at < map + reader->map_bytes) {
        *bytes = at;
        goto out;
    }
    SL_TRY(keep(reader, (uint64_t)size));
    uint8_t *copy = reader->copies[reader->copy_count++] = malloc((size_t)size);
    if (!copy)
        SL_FAIL(SL_SYSTEM, "out of memory for %lld bytes", (long long)size);
    reader->copied_bytes += (uint64_t)size;
    for (size_t have = 0;;) {
        if (n > (size_t)size - have || offset != (la_int64_t)have)
            SL_FAIL(SL_BAD_DATA, "an entry longer than it says");
        memcpy(copy + have, block, n);
        have += n;
        if (have == (size_t)size)
            break;
        if (archive_read_data_block(archive, &block, &n, &offset) != ARCHIVE_OK)
            SL_FAIL(SL_BAD_DATA, "an entry ends after %zu of %lld bytes", have, (long long)size);
    }
    *bytes = copy;
out:
    return rc;
}

static int read_label(const uint8_t *bytes, size_t length, size_t class_count, int32_t *label)
{
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] < '0' || bytes[i] > '9' || length > 9)
            return sl_fail(SL_BAD_DATA, "a label that is no number");
        value = value * 10 + (uint64_t)(bytes[i] - '0');
    }
    if (value >= class_count)
        return sl_fail(SL_BAD_DATA, "label %" PRIu64 ", but there are %zu classes", value, class_count);
    *label = (int32_t)value;
    return SL_OK;
}

/* The next entry must be KEY.EXTENSION; with *key NULL it names the key. */
static int next_entry(struct archive *archive, const char *extension, struct archive_entry **entry, char **key)
{
    const int code = archive_read_next_header(archive, entry);
    /* It warns of a name that the locale does not know, and hands out its bytes. */
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
        return sl_fail(SL_BAD_DATA, "%s", code == ARCHIVE_EOF ? "it ends early" : archive_error_string(archive));
    const char *name = archive_entry_pathname(*entry);
    const char *dot = name ? strchr(name, '.') : NULL;
    if (!dot || dot == name || strcmp(dot + 1, extension))
        return sl_fail(SL_BAD_DATA, "entry %s is not a KEY.%s", name ? name : "without a name", extension);
    if (*key)
        return strlen(*key) == (size_t)(dot - name) && !memcmp(*key, name, (size_t)(dot - name))
                   ? SL_OK
                   : sl_fail(SL_BAD_DATA, "entry %s does not belong to %s.jpg before it", name, *key);
    *key = strndup(name, (size_t)(dot - name));
    return *key ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for a key");
}

static int read_sample(struct archive *archive, struct sl_shard_reader *reader, size_t class_count)
{
    int rc = SL_OK;
    struct archive_entry *entry = NULL;
    struct sl_shard_sample *sample = &reader->samples[reader->count++];
    const uint8_t *label = NULL;
    size_t label_length = 0;
    SL_TRY(next_entry(archive, "jpg", &entry, &sample->key));
    SL_TRY(keep(reader, strlen(sample->key)));
    SL_TRY(read_entry(archive, entry, reader, &sample->jpeg, &sample->length));
    SL_TRY(next_entry(archive, "cls", &entry, &sample->key));
    SL_TRY(read_entry(archive, entry, reader, &label, &label_length));
    SL_TRY(read_label(label, label_length, class_count, &sample->label));
out:
    return rc == SL_OK || !sample->key ? rc : sl_fail_prefix(rc, "sample %s", sample->key);
}

static int read_index(const struct sl_shard *shard, size_t class_count, struct sl_shard_reader *reader)
{
    int rc = SL_OK;
    struct archive_entry *entry = NULL;
    struct archive *archive = archive_read_new();
    /* A tar of n samples has 4 n blocks of 512 bytes; compressed, no honest shard is a thousandth of that. */
    if (shard->samples > shard->bytes)
        SL_FAIL(SL_BAD_DATA, "%" PRIu64 " bytes cannot hold %" PRIu64 " samples", shard->bytes, shard->samples);
    reader->samples = calloc((size_t)shard->samples + 1, sizeof *reader->samples);
    reader->copies = calloc(2 * (size_t)shard->samples + 1, sizeof *reader->copies);
    if (!archive || !reader->samples || !reader->copies)
        SL_FAIL(SL_SYSTEM, "out of memory for %" PRIu64 " samples", shard->samples);
    archive_read_support_format_tar(archive);
    archive_read_support_filter_zstd(archive);
    if (archive_read_open_memory(archive, reader->map, reader->map_bytes) != ARCHIVE_OK)
        SL_FAIL(SL_BAD_DATA, "%s", archive_error_string(archive));
    for (uint64_t i = 0; i < shard->samples; i++)
        SL_TRY(read_sample(archive, reader, class_count));
    if (archive_read_next_header(archive, &entry) != ARCHIVE_EOF)
        SL_FAIL(SL_BAD_DATA, "more than its %" PRIu64 " samples", shard->samples);
out:
    archive_read_free(archive);
    return rc;
}

/* libarchive turns names into the locale of the thread; the C locale leaves the bytes alone. */
static int read_index_as_bytes(const struct sl_shard *shard, size_t class_count, struct sl_shard_reader *reader)
{
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return sl_fail(SL_SYSTEM, "out of memory for a locale");
    const locale_t before = uselocale(plain);
    const int rc = read_index(shard, class_count, reader);
    uselocale(before);
    freelocale(plain);
    return rc;
}

int sl_shard_reader_open(const char *folder, const struct sl_shard *shard, size_t class_count,
                         struct sl_shard_reader *reader)
{
    int rc = SL_OK;
    char *path = sl_io_path(folder, shard->name);
    *reader = (struct sl_shard_reader){0};
    if (!path)
        SL_FAIL(SL_SYSTEM, "out of memory for the path of %s", shard->name);
    SL_TRY(map_file(path, shard, reader));
    SL_TRY(read_index_as_bytes(shard, class_count, reader));
out:
    if (rc == SL_BAD_DATA || rc == SL_MISSING)
        sl_fail(rc, "shard %s/%s: %s; fetch it again, or prepare the set again", folder, shard->name, sl_last_error());
    else if (rc != SL_OK)
        sl_fail_prefix(rc, "shard %s/%s", folder, shard->name);
    if (rc != SL_OK)
        sl_shard_reader_close(reader);
    free(path);
    return rc;
}
