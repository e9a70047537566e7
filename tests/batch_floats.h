/* The images of a loader's batch as a plan computes with them. */
#ifndef SL_TESTS_BATCH_FLOATS_H
#define SL_TESTS_BATCH_FLOATS_H

#include <stdlib.h>
#include <string.h>

#include "runtime/data/loader.h"
#include "tests/run_op.h"

/* [count][size][size][3], to be freed. */
static inline float *batch_floats(const struct sl_batch *batch, int32_t size)
{
    const struct sl_image shape = {
        .height = size, .width = size, .oh = size, .ow = size, .n = batch->count, .element = SL_ELEMENT_F32};
    struct sl_image_to_float args = {.x = batch->pixels, .places = batch->places};
    memcpy(args.scale, batch->scale, sizeof args.scale);
    memcpy(args.shift, batch->shift, sizeof args.shift);
    float *floats = malloc((size_t)batch->count * (size_t)size * (size_t)size * 3 * sizeof *floats);
    assert_non_null(floats);
    args.y = floats;
    run_op(SL_OP_image_to_float, ~0u, &shape, &args);
    return floats;
}
#endif
