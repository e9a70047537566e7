#include "apps/predict_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apps/cli.h"
#include "runtime/base/file_io.h"
#include "runtime/data/image_input.h"

/* A batch being filled. */
struct filling {
    const struct predict_files *files;
    struct sl_jpeg *jpeg;
    struct sl_image_input input;
    uint8_t *pixels; /* [batch_size] images */
    struct sl_image_place *places;
    char **keys;
    int32_t count;
    uint64_t skipped;
};

static void close_filling(struct filling *f)
{
    for (int32_t i = 0; f->keys && i < f->count; i++)
        free(f->keys[i]);
    free(f->keys);
    free(f->places);
    free(f->pixels);
    sl_jpeg_close(f->jpeg);
}

static int open_filling(const struct predict_files *files, struct filling *f)
{
    int rc = SL_OK;
    *f = (struct filling){.files = files};
    SL_TRY(sl_image_input_open(&files->served->pixels, files->batch_size, &f->input));
    const size_t n = (size_t)files->batch_size;
    f->pixels = malloc(n * sl_image_input_bytes(&f->input));
    f->places = calloc(n, sizeof *f->places);
    f->keys = calloc(n, sizeof *f->keys);
    if (!f->pixels || !f->places || !f->keys)
        SL_FAIL(SL_UNAVAILABLE, "out of memory for a batch of %d images", files->batch_size);
    for (size_t i = 0; i < n; i++)
        f->places[i].index = (int64_t)i;
    SL_TRY(sl_jpeg_open(&f->jpeg));
out:
    return rc;
}

/* Visits what is in the batch. */
static int answer(void *self)
{
    int rc = SL_OK;
    struct filling *f = self;
    if (f->count == 0)
        return SL_OK;
    struct sl_batch batch = {.count = f->count, .pixels = f->pixels, .places = f->places};
    batch.keys = (const char *const *)f->keys;
    memcpy(batch.scale, f->input.scale, sizeof batch.scale);
    memcpy(batch.shift, f->input.shift, sizeof batch.shift);
    SL_TRY(sl_evaluate_batch(f->files->served->plan, &batch, NULL, f->files->visit, f->files->self));
out:
    for (int32_t i = 0; i < f->count; i++)
        free(f->keys[i]);
    f->count = 0;
    return rc;
}

/* All of standard input, to be freed. */
static int read_standard_input(uint8_t **bytes, size_t *length)
{
    size_t room = 64 << 10;
    *length = 0;
    *bytes = malloc(room);
    while (*bytes && !feof(stdin) && !ferror(stdin) && *length <= SL_JPEG_MAX_BYTES) {
        *length += fread(*bytes + *length, 1, room - *length, stdin);
        if (*length < room)
            continue;
        uint8_t *larger = realloc(*bytes, room *= 2);
        if (!larger)
            free(*bytes);
        *bytes = larger;
    }
    if (!*bytes)
        return sl_fail(SL_SYSTEM, "standard input: out of memory for an image");
    if (ferror(stdin))
        return sl_fail(SL_IO, "standard input: cannot read it: %s", strerror(errno));
    if (*length > SL_JPEG_MAX_BYTES)
        return sl_fail(SL_BAD_DATA, "standard input: more than the %d bytes that are allowed", SL_JPEG_MAX_BYTES);
    return SL_OK;
}

/* `path`: NULL for standard input. */
static int read_image(struct filling *f, const char *path)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length;
    uint8_t *rgb = f->pixels + (size_t)f->count * sl_image_input_bytes(&f->input);
    SL_TRY(path ? sl_io_read(path, SL_JPEG_MAX_BYTES, &bytes, &length) : read_standard_input(&bytes, &length));
    if ((rc = sl_image_input_decode(&f->input, f->jpeg, bytes, length, rgb)) != SL_OK)
        sl_fail_prefix(rc, "%s", path ? path : "standard input");
out:
    free(bytes);
    return rc;
}

static int add_image(struct filling *f, const char *key, bool standard_input)
{
    const int rc = read_image(f, standard_input ? NULL : key);
    if (rc != SL_OK && f->files->skip_bad_images && (rc == SL_BAD_DATA || rc == SL_MISSING)) {
        fputs("skipped ", stderr);
        cli_say(NULL, sl_last_error());
        f->skipped++;
        return SL_OK;
    }
    if (rc != SL_OK)
        return rc;
    if (!(f->keys[f->count] = strdup(key)))
        return sl_fail(SL_SYSTEM, "out of memory for a path");
    return ++f->count == f->files->batch_size ? answer(f) : SL_OK;
}

static int add_all(struct filling *f)
{
    int rc = SL_OK;
    const char *path;
    for (size_t i = 0; i < f->files->path_count; i++)
        SL_TRY(add_image(f, f->files->paths[i], !strcmp(f->files->paths[i], "-")));
    while (f->files->list) {
        SL_TRY(predict_list_next(f->files->list, answer, f, &path));
        if (!path)
            break;
        SL_TRY(add_image(f, path, false));
    }
out:
    return rc;
}

int predict_files_run(const struct predict_files *files)
{
    int rc = SL_OK;
    struct filling f;
    SL_TRY(open_filling(files, &f));
    const int added = add_all(&f);
    SL_TRY(answer(&f));
    SL_TRY(added);
    if (f.skipped)
        fprintf(stderr, "%llu unreadable images left out\n", (unsigned long long)f.skipped);
out:
    close_filling(&f);
    return rc;
}
