/* A batch of the loader as a plan takes it. */
#ifndef SL_RUNTIME_TRAIN_BATCH_INPUT_H
#define SL_RUNTIME_TRAIN_BATCH_INPUT_H

#include <string.h>

#include "runtime/data/loader.h"
#include "runtime/plan/plan.h"

static inline struct sl_plan_pixels sl_batch_pixels(const struct sl_batch *batch)
{
    struct sl_plan_pixels pixels;
    pixels.bytes = batch->pixels;
    pixels.places = batch->places;
    memcpy(pixels.scale, batch->scale, sizeof pixels.scale);
    memcpy(pixels.shift, batch->shift, sizeof pixels.shift);
    return pixels;
}
#endif
