/* A batch out of samples: decoded, flipped, cropped, scaled. It depends on (seed, epoch, index) alone. */
#include <string.h>

#include "runtime/base/draw.h"
#include "runtime/data/loader_internal.h"

static struct sl_image_window window_of(const struct sl_loader_options *o, uint64_t epoch, uint32_t sample)
{
    struct sl_image_window window = {0};
    if (o->flip || o->crop_padding) {
        const struct sl_philox bits = sl_draw(o->seed, SL_RANDOM_AUGMENT, epoch, sample);
        const uint32_t places = 2 * (uint32_t)o->crop_padding + 1;
        window.flip = o->flip && (bits.word[0] & 1);
        window.top = (int32_t)sl_draw_below(bits.word[1], places) - o->crop_padding;
        window.left = (int32_t)sl_draw_below(bits.word[2], places) - o->crop_padding;
    }
    return window;
}

/* The batch has `count` images; the rest of it is zero. */
static void close_batch(const struct sl_loader *loader, struct sl_loader_slot *slot, int32_t count)
{
    const size_t floats = sl_image_input_values(&loader->input);
    const size_t rest = (size_t)(loader->options.batch_size - count);
    memset(slot->batch.images + (size_t)count * floats, 0, rest * floats * sizeof *slot->batch.images);
    memset(slot->batch.labels + count, 0, rest * sizeof *slot->batch.labels);
    slot->batch.count = count;
}

int sl_loader_fill(const struct sl_loader_worker *worker, struct sl_loader_slot *slot)
{
    const struct sl_loader *loader = worker->loader;
    const size_t floats = sl_image_input_values(&loader->input);
    int32_t count = 0;
    int rc = SL_OK;
    for (int32_t i = 0; i < slot->claimed; i++) {
        const uint32_t sample = slot->samples[i];
        const uint8_t *pixels = NULL;
        if (i + 2 < slot->claimed)
            sl_samples_prefetch(loader->samples, slot->samples[i + 1], slot->samples[i + 2]);
        rc = sl_samples_pixels(loader->samples, sample, worker->jpeg, worker->rgb, &pixels);
        if (rc == SL_BAD_DATA && loader->options.skip_bad_images) {
            rc = SL_OK;
            continue;
        }
        if (rc != SL_OK)
            break;
        sl_image_input_fill(&loader->input, pixels, window_of(&loader->options, slot->batch.epoch, sample),
                            worker->scratch, slot->batch.images + (size_t)count * floats);
        slot->batch.labels[count] = sl_samples_at(loader->samples, sample)->label;
        slot->keys[count++] = sl_samples_at(loader->samples, sample)->key;
    }
    close_batch(loader, slot, count);
    return rc;
}
