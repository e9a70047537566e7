/* A batch out of samples: decoded, flipped, cropped, scaled. It depends on (seed, epoch, index) alone. */
#include <string.h>

#include "runtime/data/draw.h"
#include "runtime/data/loader_internal.h"

static void to_float(const struct sl_loader_worker *worker, uint64_t epoch, uint32_t sample, const uint8_t *pixels,
                     float *image)
{
    const struct sl_loader *loader = worker->loader;
    const struct sl_loader_options *o = &loader->options;
    struct sl_image_to_float args = {.x = pixels, .y = image};
    memcpy(args.scale, loader->scale, sizeof args.scale);
    memcpy(args.shift, loader->shift, sizeof args.shift);
    if (o->flip || o->crop_padding) {
        const struct sl_philox bits = sl_draw(o->seed, SL_RANDOM_AUGMENT, epoch, sample);
        const uint32_t places = 2 * (uint32_t)o->crop_padding + 1;
        args.flip = o->flip && (bits.word[0] & 1);
        args.top = (int32_t)sl_draw_below(bits.word[1], places) - o->crop_padding;
        args.left = (int32_t)sl_draw_below(bits.word[2], places) - o->crop_padding;
    }
    const struct sl_work work = {0, sl_kernel_units(loader->to_float, &loader->shape), worker->scratch, NULL};
    loader->to_float->run(&loader->shape, &args, &work);
}

size_t sl_loader_image_floats(const struct sl_loader *loader)
{
    return (size_t)loader->shape.oh * (size_t)loader->shape.ow * 3;
}

int sl_loader_fill(const struct sl_loader_worker *worker, struct sl_loader_slot *slot)
{
    const struct sl_loader *loader = worker->loader;
    const size_t floats = sl_loader_image_floats(loader);
    int32_t count = 0;
    for (int32_t i = 0; i < slot->claimed; i++) {
        const uint32_t sample = slot->samples[i];
        const uint8_t *pixels = NULL;
        if (i + 2 < slot->claimed)
            sl_samples_prefetch(loader->samples, slot->samples[i + 1], slot->samples[i + 2]);
        const int rc = sl_samples_pixels(loader->samples, sample, worker->jpeg, worker->rgb, &pixels);
        if (rc == SL_BAD_DATA && loader->options.skip_bad_images)
            continue;
        if (rc != SL_OK)
            return rc;
        to_float(worker, slot->batch.epoch, sample, pixels, slot->batch.images + (size_t)count * floats);
        slot->batch.labels[count] = sl_samples_at(loader->samples, sample)->label;
        slot->keys[count++] = sl_samples_at(loader->samples, sample)->key;
    }
    const size_t rest = (size_t)(loader->options.batch_size - count);
    memset(slot->batch.images + (size_t)count * floats, 0, rest * floats * sizeof *slot->batch.images);
    memset(slot->batch.labels + count, 0, rest * sizeof *slot->batch.labels);
    slot->batch.count = count;
    return SL_OK;
}
