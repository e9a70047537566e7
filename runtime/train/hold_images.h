/* Where the images of a split lie for a device that has memory of its own. */
#ifndef SL_RUNTIME_TRAIN_HOLD_IMAGES_H
#define SL_RUNTIME_TRAIN_HOLD_IMAGES_H

#include "runtime/base/tell.h"
#include "runtime/data/loader.h"
#include "runtime/plan/plan.h"

struct sl_hold_images {
    const struct sl_device *device;
    struct sl_plan *plan;
    const struct sl_loader *loader;
    const char *split;
    uint64_t image_bytes; /* of one */
    sl_tell_fn *say;      /* told where they lie, and why; may be NULL */
    void *self;
};

/* With the device, if this process keeps them decoded and `left` bytes there hold them: *held is what they take. Else
 * they are sent to it with each batch, and it is 0. SL_SYSTEM. */
int sl_hold_images(const struct sl_hold_images *what, uint64_t left, uint64_t *held);

#endif
