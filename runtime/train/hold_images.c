#include "runtime/train/hold_images.h"

static int say_kept(const struct sl_hold_images *h, uint64_t bytes)
{
    sl_tell(h->say, h->self, "images of %s stay with %s (%.1f MB): a step sends their places alone", h->split,
            h->device->name, (double)bytes / 1e6);
    return SL_OK;
}

static int say_sent(const struct sl_hold_images *h, const char *why)
{
    sl_tell(h->say, h->self, "images of %s are sent to %s batch by batch: %s", h->split, h->device->name, why);
    return SL_OK;
}

int sl_hold_images(const struct sl_hold_images *h, uint64_t left, uint64_t *held)
{
    const uint8_t *images = sl_loader_cache(h->loader);
    const uint64_t count = sl_loader_samples(h->loader), bytes = count * h->image_bytes;
    *held = 0;
    if (!images)
        return say_sent(h, "there is no room to keep all of them decoded; raise --memory-limit");
    const int rc = bytes <= left ? sl_plan_hold_images(h->plan, images, count) : SL_UNAVAILABLE;
    if (rc == SL_UNAVAILABLE)
        return say_sent(h, "it has no room for all of them; raise --device-memory-limit");
    if (rc != SL_OK)
        return rc;
    *held = bytes;
    return say_kept(h, bytes);
}
