/* starling-prepare: a folder of JPEGs becomes shards and dataset.json. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "apps/cli.h"
#include "apps/prepare_progress.h"
#include "runtime/prepare/prepare.h"
#include "runtime/device/parallel.h"

struct settings {
    const char *input, *output, *compress, *on_bad_image, *orientation;
    int64_t images_per_file, image_size, seed, threads;
    double val_fraction;
    bool allow_one_class, quiet;
};

static void summarise(const struct sl_dataset *set)
{
    printf("%s: %zu classes, %d x %d pixels\n", set->folder, set->class_count, set->pixels.size, set->pixels.size);
    for (size_t i = 0; i < set->split_count; i++) {
        const struct sl_split *split = &set->splits[i];
        uint64_t bytes = 0;
        for (size_t j = 0; j < split->shard_count; j++)
            bytes += split->shards[j].bytes;
        printf("%-6s %" PRIu64 " images in %zu files, %.1f MB\n", split->name, split->samples, split->shard_count,
               (double)bytes / 1e6);
    }
    printf("mean %.4f %.4f %.4f, deviation %.4f %.4f %.4f\n", set->pixels.mean[0], set->pixels.mean[1],
           set->pixels.mean[2], set->pixels.deviation[0], set->pixels.deviation[1], set->pixels.deviation[2]);
    if (set->turned)
        printf(set->pixels.apply_orientation ? "turned %" PRIu64 " images as their EXIF orientation says\n"
                                             : "left %" PRIu64
                                               " images as stored, though their EXIF orientation turns them\n",
               set->turned);
    printf("skipped %" PRIu64 " unreadable images\n", set->skipped);
}

static int run(const struct settings *s)
{
    int rc = SL_OK;
    struct sl_dataset *set = NULL;
    struct prepare_progress progress;
    prepare_progress_open(&progress, s->quiet);
    const struct sl_prepare_options options = {
        .input = s->input,
        .output = s->output,
        .images_per_file = (int32_t)s->images_per_file,
        .image_size = (int32_t)s->image_size,
        .zstd = !strcmp(s->compress, "zstd"),
        .seed = (uint64_t)s->seed,
        .skip_bad_images = !strcmp(s->on_bad_image, "skip"),
        .apply_orientation = !strcmp(s->orientation, "apply"),
        .one_class = s->allow_one_class,
        .val_fraction = s->val_fraction,
        .threads = s->threads ? (int)s->threads : sl_parallel_default_threads(),
        .report = prepare_progress_say,
        .progress = prepare_progress_show,
        .self = &progress,
    };
    rc = sl_prepare(&options, &set);
    prepare_progress_close(&progress);
    if (rc == SL_OK)
        summarise(set);
    sl_dataset_close(set);
    return rc;
}

int main(int argc, char **argv)
{
    struct settings s = {.compress = "none",
                         .on_bad_image = "fail",
                         .orientation = "apply",
                         .images_per_file = 1024,
                         .image_size = 64,
                         .seed = 1,
                         .val_fraction = -1};
    const struct cli_option options[] = {
        {"input", "DIR", "TinyImageNet's folder, or a tree with a folder for each class", .kind = CLI_TEXT,
         .value = &s.input, .required = true},
        {"output", "DIR", "The folder to fill; it must be new or empty", .kind = CLI_TEXT, .value = &s.output,
         .required = true},
        {"images-per-file", "N", "Images in a shard (default 1024)", .kind = CLI_INT, .value = &s.images_per_file,
         .least = 1, .most = 1 << 20},
        {"image-size", "PIXELS", "Side of the images as the network sees them (default 64)", .kind = CLI_INT,
         .value = &s.image_size, .least = 1, .most = SL_DATASET_MAX_IMAGE_SIZE},
        {"compress", "none|zstd", "Compression of the shards (default none: JPEGs hardly shrink)", .kind = CLI_CHOICE,
         .value = &s.compress, .choices = "none|zstd"},
        {"on-bad-image", "fail|skip", "What to do with an unreadable or missing image (default fail)",
         .kind = CLI_CHOICE, .value = &s.on_bad_image, .choices = "fail|skip"},
        {"orientation", "apply|ignore",
         "Turn images as their EXIF orientation says, here, in training and in prediction (default apply)",
         .kind = CLI_CHOICE, .value = &s.orientation, .choices = "apply|ignore"},
        {"val-fraction", "F", "Part of a set without validation images that validates, 0 to 0.9 (default 0.1)",
         .kind = CLI_DOUBLE, .value = &s.val_fraction, .least = 0, .most = 0.9},
        {"allow-one-class", NULL, "Take a set of a single class, which is nearly always a wrong folder",
         .kind = CLI_FLAG, .value = &s.allow_one_class},
        {"seed", "N", "Order of the images in the shards (default 1)", .kind = CLI_INT, .value = &s.seed},
        {"threads", "N", "Threads that verify the images (default: as many as this process may use)", .kind = CLI_INT,
         .value = &s.threads, .least = 1, .most = 256},
        {"quiet", NULL, "No progress; warnings and what is left out are still told", .kind = CLI_FLAG,
         .value = &s.quiet},
        {0}};
    const struct cli_program program = {
        .summary =
            "Makes a data set out of a folder of JPEGs: verifies each image, shuffles, and writes tar shards and "
            "dataset.json. The same input and seed give the same bytes. Splits are the folders train (training), val "
            "(valid, validation) and, where there is no val, test (testing), in any case of letters.",
        .options = options};
    struct cli_rest rest;
    cli_parse(&program, argc, argv, &rest);
    return cli_end(run(&s));
}
