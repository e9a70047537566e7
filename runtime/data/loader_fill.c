/* A batch out of samples: decoded, and where each is mirrored and cropped. It depends on (seed, epoch, index) alone. */
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/data/loader_internal.h"

static struct sl_image_place place_of(const struct sl_loader_options *o, uint64_t epoch, uint32_t sample, int64_t index)
{
    struct sl_image_place place = {.index = index};
    if (o->flip || o->crop_padding) {
        const struct sl_philox bits = sl_draw(o->seed, SL_RANDOM_AUGMENT, epoch, sample);
        const uint32_t offsets = 2 * (uint32_t)o->crop_padding + 1;
        place.flip = o->flip && (bits.word[0] & 1);
        place.top = (int32_t)sl_draw_below(bits.word[1], offsets) - o->crop_padding;
        place.left = (int32_t)sl_draw_below(bits.word[2], offsets) - o->crop_padding;
    }
    return place;
}

/* The pixels of a sample become number `count` of the batch. */
static int add_sample(const struct sl_loader_worker *worker, struct sl_loader_slot *slot, uint32_t sample,
                      int32_t count)
{
    const struct sl_loader *loader = worker->loader;
    const size_t bytes = sl_image_input_bytes(&loader->input);
    const uint8_t *pixels;
    uint8_t *own = slot->pixels ? slot->pixels + (size_t)count * bytes : worker->scratch;
    const int rc = sl_samples_pixels(loader->samples, sample, worker->jpeg, own, &pixels);
    if (rc != SL_OK)
        return rc;
    slot->batch.places[count] =
        place_of(&loader->options, slot->batch.epoch, sample, slot->pixels ? count : (int64_t)sample);
    slot->batch.labels[count] = sl_samples_at(loader->samples, sample)->label;
    slot->keys[count] = sl_samples_at(loader->samples, sample)->key;
    return SL_OK;
}

int sl_loader_fill(const struct sl_loader_worker *worker, struct sl_loader_slot *slot)
{
    const struct sl_loader *loader = worker->loader;
    int32_t count = 0;
    int rc = SL_OK;
    for (int32_t i = 0; i < slot->claimed; i++) {
        if (i + 2 < slot->claimed)
            sl_samples_prefetch(loader->samples, slot->samples[i + 1], slot->samples[i + 2]);
        rc = add_sample(worker, slot, slot->samples[i], count);
        count += rc == SL_OK;
        if (rc == SL_BAD_DATA && loader->options.skip_bad_images)
            rc = SL_OK;
        if (rc != SL_OK)
            break;
    }
    const size_t rest = (size_t)(loader->options.batch_size - count);
    memset(slot->batch.labels + count, 0, rest * sizeof *slot->batch.labels);
    slot->batch.count = count;
    return rc;
}
