/* The files of the sample set. */
#include "runtime/prepare/invent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/base/file_io.h"
#include "runtime/base/folder.h"
#include "runtime/data/jpeg.h"

enum { QUALITY = 92, FIRST_ID = 90000001, MOST_PER_CLASS = 100000, PATH_BYTES = 4096 };

struct job {
    const char *folder;
    const struct sl_invent_options *options;
    struct sl_jpeg *jpeg;
    uint8_t *rgb;
};

static int path_of(char path[PATH_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int path_of(char path[PATH_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(path, PATH_BYTES, format, arguments);
    va_end(arguments);
    return length < PATH_BYTES ? SL_OK : sl_fail(SL_CANNOT_CREATE, "the path %.64s... is too long", path);
}

static int create(const char *path, FILE **file)
{
    *file = fopen(path, "wbe");
    return *file ? SL_OK : sl_io_fail("create it", path, errno);
}

/* Closes; every write error of the file shows up here at the latest. */
static int finish(const char *path, FILE *file)
{
    const int error = ferror(file) ? errno : 0;
    return fclose(file) == 0 && !error ? SL_OK : sl_io_fail("write it", path, error ? error : errno);
}

static int write_image(const struct job *job, const char *path, int32_t class, uint64_t number, int32_t box[4])
{
    int rc = SL_OK;
    int32_t shape, texture;
    uint8_t *bytes = NULL;
    size_t length = 0;
    FILE *file = NULL;
    const int32_t size = job->options->size;
    sl_invent_class(class, job->options->classes, &shape, &texture);
    sl_invent_draw(job->options->seed, number, shape, texture, size, job->rgb, box);
    SL_TRY(sl_jpeg_encode(job->jpeg, job->rgb, size, size, QUALITY, &bytes, &length));
    SL_TRY(create(path, &file));
    fwrite(bytes, 1, length, file);
    SL_TRY(finish(path, file));
out:
    free(bytes);
    return rc;
}

static int write_train_class(const struct job *job, int32_t class)
{
    int rc = SL_OK;
    char path[PATH_BYTES], boxes_path[PATH_BYTES];
    int32_t box[4];
    FILE *boxes = NULL;
    const int id = FIRST_ID + class;
    SL_TRY(path_of(path, "%s/train/n%d", job->folder, id));
    SL_TRY(sl_folder_create(path));
    SL_TRY(path_of(path, "%s/train/n%d/images", job->folder, id));
    SL_TRY(sl_folder_create(path));
    SL_TRY(path_of(boxes_path, "%s/train/n%d/n%d_boxes.txt", job->folder, id, id));
    SL_TRY(create(boxes_path, &boxes));
    for (int32_t i = 0; i < job->options->per_class; i++) {
        SL_TRY(path_of(path, "%s/train/n%d/images/n%d_%d.JPEG", job->folder, id, id, i));
        SL_TRY(write_image(job, path, class, (uint64_t) class * MOST_PER_CLASS + (uint64_t)i, box));
        fprintf(boxes, "n%d_%d.JPEG\t%d\t%d\t%d\t%d\n", id, i, box[0], box[1], box[2], box[3]);
    }
out:
    if (boxes) {
        const int closed = finish(boxes_path, boxes);
        rc = rc == SL_OK ? closed : rc;
    }
    return rc;
}

static int write_val(const struct job *job)
{
    int rc = SL_OK;
    char path[PATH_BYTES], list_path[PATH_BYTES];
    int32_t box[4];
    FILE *list = NULL;
    const uint32_t count = (uint32_t)job->options->classes * (uint32_t)job->options->val_per_class;
    uint32_t *order = calloc((size_t)count + 1, sizeof *order);
    if (!order)
        SL_FAIL(SL_SYSTEM, "out of memory for %u validation images", count);
    sl_draw_permutation(job->options->seed, SL_RANDOM_SAMPLE_SET, 1, order, count);
    SL_TRY(path_of(list_path, "%s/val/val_annotations.txt", job->folder));
    SL_TRY(create(list_path, &list));
    for (uint32_t i = 0; i < count; i++) {
        const int32_t class = (int32_t)(order[i] / (uint32_t)job->options->val_per_class);
        SL_TRY(path_of(path, "%s/val/images/val_%u.JPEG", job->folder, i));
        SL_TRY(write_image(job, path, class, UINT64_C(1) << 40 | order[i], box));
        fprintf(list, "val_%u.JPEG\tn%d\t%d\t%d\t%d\t%d\n", i, FIRST_ID + class, box[0], box[1], box[2], box[3]);
    }
out:
    if (list) {
        const int closed = finish(list_path, list);
        rc = rc == SL_OK ? closed : rc;
    }
    free(order);
    return rc;
}

static int write_words(const struct job *job)
{
    int rc = SL_OK;
    char path[PATH_BYTES];
    FILE *file = NULL;
    SL_TRY(path_of(path, "%s/words.txt", job->folder));
    SL_TRY(create(path, &file));
    for (int32_t i = 0; i < job->options->classes; i++) {
        int32_t shape, texture;
        sl_invent_class(i, job->options->classes, &shape, &texture);
        fprintf(file, "n%d\t%s with %s\n", FIRST_ID + i, sl_invent_shape_name(shape), sl_invent_texture_name(texture));
    }
    rc = finish(path, file);
out:
    return rc;
}

static int write_wnids(const struct job *job)
{
    int rc = SL_OK;
    char path[PATH_BYTES];
    FILE *file = NULL;
    uint32_t order[SL_INVENT_MAX_CLASSES];
    sl_draw_permutation(job->options->seed, SL_RANDOM_SAMPLE_SET, 0, order, (uint32_t)job->options->classes);
    SL_TRY(path_of(path, "%s/wnids.txt", job->folder));
    SL_TRY(create(path, &file));
    for (int32_t i = 0; i < job->options->classes; i++)
        fprintf(file, "n%d\n", FIRST_ID + (int)order[i]);
    rc = finish(path, file);
out:
    return rc;
}

static int check(const struct sl_invent_options *options)
{
    if (options->classes < 2 || options->classes > SL_INVENT_MAX_CLASSES)
        return sl_fail(SL_BAD_CONFIG, "%d classes; it must be 2 to %d", options->classes, SL_INVENT_MAX_CLASSES);
    if (options->per_class < 1 || options->per_class > MOST_PER_CLASS || options->val_per_class < 1 ||
        options->val_per_class > MOST_PER_CLASS)
        return sl_fail(SL_BAD_CONFIG, "%d training and %d validation images a class; each must be 1 to %d",
                       options->per_class, options->val_per_class, MOST_PER_CLASS);
    if (options->size < 16 || options->size > 1024)
        return sl_fail(SL_BAD_CONFIG, "%d pixels a side; it must be 16 to 1024", options->size);
    return SL_OK;
}

int sl_invent_write(const char *folder, const struct sl_invent_options *options)
{
    static const char *const folders[] = {"val", "val/images", "train"};
    int rc = SL_OK;
    char path[PATH_BYTES];
    struct job job = {.folder = folder, .options = options};
    SL_TRY(check(options));
    SL_TRY(sl_jpeg_open(&job.jpeg));
    if (!(job.rgb = calloc((size_t)options->size * (size_t)options->size, 3)))
        SL_FAIL(SL_SYSTEM, "out of memory for a picture of %d pixels a side", options->size);
    SL_TRY(sl_folder_create_all(folder));
    SL_TRY(sl_folder_check_empty(folder));
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        SL_TRY(path_of(path, "%s/%s", folder, folders[i]));
        SL_TRY(sl_folder_create(path));
    }
    for (int32_t i = 0; i < options->classes; i++)
        SL_TRY(write_train_class(&job, i));
    SL_TRY(write_val(&job));
    SL_TRY(write_words(&job));
    SL_TRY(write_wnids(&job));
out:
    sl_jpeg_close(job.jpeg);
    free(job.rgb);
    return rc;
}
