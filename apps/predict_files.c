#include "apps/predict_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "runtime/data/file.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/pixels.h"

enum { MAX_IMAGE_BYTES = 256 << 20 };

/* A batch being filled. */
struct filling {
    const struct predict_files *files;
    struct sl_jpeg *jpeg;
    struct sl_image shape;
    const struct sl_kernel *to_float;
    uint8_t *rgb;
    float *images;
    char **keys;
    int32_t count, skipped;
};

static void close_filling(struct filling *f)
{
    for (int32_t i = 0; f->keys && i < f->count; i++)
        free(f->keys[i]);
    free(f->keys);
    free(f->images);
    free(f->rgb);
    sl_jpeg_close(f->jpeg);
}

static int open_filling(const struct predict_files *files, struct filling *f)
{
    int rc = SL_OK;
    const int32_t side = files->model->graph->layers[0].shape.h;
    const size_t image = (size_t)side * (size_t)side * 3;
    *f = (struct filling){.files = files, .shape = {side, side, side, side}};
    f->to_float = sl_pick(SL_OP_image_to_float, &f->shape, sl_isa())->kernel;
    f->rgb = malloc(image);
    f->images = calloc((size_t)files->batch_size, image * sizeof(float));
    f->keys = calloc((size_t)files->batch_size, sizeof *f->keys);
    if (!f->rgb || !f->images || !f->keys)
        SL_FAIL(SL_SYSTEM, "out of memory for a batch of %d images", files->batch_size);
    SL_TRY(sl_jpeg_open(&f->jpeg));
out:
    return rc;
}

static int flush(struct filling *f)
{
    int rc = SL_OK;
    int32_t stride;
    if (f->count == 0)
        return SL_OK;
    const struct sl_plan_input input = {.images = f->images, .count = f->count};
    SL_TRY(sl_plan_forward(f->files->plan, &input));
    const float *p = sl_plan_probabilities(f->files->plan, &stride);
    const struct sl_batch batch = {.count = f->count, .images = f->images, .keys = (const char *const *)f->keys};
    SL_TRY(f->files->visit(f->files->self, &batch, p, stride));
out:
    for (int32_t i = 0; i < f->count; i++)
        free(f->keys[i]);
    f->count = 0;
    return rc;
}

static int read_image(struct filling *f, const char *path)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length;
    const struct sl_model *model = f->files->model;
    const size_t image = (size_t)f->shape.oh * (size_t)f->shape.ow * 3;
    struct sl_image_to_float args = {.x = f->rgb, .y = f->images + (size_t)f->count * image};
    sl_pixel_range(model->range, model->mean, model->deviation, args.scale, args.shift);
    SL_TRY(sl_file_read(path, MAX_IMAGE_BYTES, &bytes, &length));
    if ((rc = sl_jpeg_decode(f->jpeg, bytes, length, f->shape.height, model->apply_orientation, f->rgb)) != SL_OK) {
        sl_fail_prefix(rc, "%s", path);
        goto out;
    }
    const struct sl_work whole = {.begin = 0, .end = sl_kernel_units(f->to_float, &f->shape)};
    f->to_float->run(&f->shape, &args, &whole);
out:
    free(bytes);
    return rc;
}

static int add_file(struct filling *f, const char *path)
{
    int rc = read_image(f, path);
    if (rc != SL_OK && f->files->skip_bad_images && (rc == SL_BAD_DATA || rc == SL_MISSING)) {
        fprintf(stderr, "skipped %s\n", sl_last_error());
        f->skipped++;
        return SL_OK;
    }
    if (rc != SL_OK)
        return rc;
    if (!(f->keys[f->count] = strdup(path)))
        return sl_fail(SL_SYSTEM, "out of memory for a path");
    return ++f->count == f->files->batch_size ? flush(f) : SL_OK;
}

static int add_list(struct filling *f, const char *list)
{
    int rc = SL_OK;
    char *line = NULL;
    size_t room = 0;
    FILE *from = strcmp(list, "-") ? fopen(list, "re") : stdin;
    if (!from)
        SL_FAIL(errno == ENOENT ? SL_MISSING : SL_IO, "%s: %s", list, strerror(errno));
    for (ssize_t n; (n = getline(&line, &room, from)) > 0;) {
        if (strlen(line) != (size_t)n)
            SL_FAIL(SL_BAD_DATA, "%s: a line holds a zero byte; one path a line is expected", list);
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0])
            SL_TRY(add_file(f, line));
    }
    if (ferror(from))
        SL_FAIL(SL_IO, "%s: %s", list, strerror(errno));
out:
    free(line);
    if (from && from != stdin)
        fclose(from);
    return rc;
}

int predict_files_run(const struct predict_files *files)
{
    int rc = SL_OK;
    struct filling f;
    SL_TRY(open_filling(files, &f));
    for (size_t i = 0; i < files->path_count; i++)
        SL_TRY(add_file(&f, files->paths[i]));
    if (files->list)
        SL_TRY(add_list(&f, files->list));
    SL_TRY(flush(&f));
    if (f.skipped)
        fprintf(stderr, "%d unreadable images left out\n", f.skipped);
out:
    close_filling(&f);
    return rc;
}
