/* image_to_float: decoded bytes to the network's input.
 *
 *   y[i,j,c] = x[i + top, j + left (or mirrored), c] * scale[c] + shift[c]
 * in one fused multiply-add: every row gives the same bits.
 * x is [height, width, 3] bytes; y is [oh, ow, 3] floats, three floats a pixel. Pixels of the window
 * outside the image read as byte 0 (random crop with padding). flip mirrors the output's columns. */
#ifndef SL_KERNELS_IMAGE_IMAGE_H
#define SL_KERNELS_IMAGE_IMAGE_H

#include "kernels/base.h"

struct sl_image {
    int32_t height, width; /* of x */
    int32_t oh, ow;        /* of y */
};

/* What every row takes for granted of a shape. */
static inline bool sl_image_is_sound(const struct sl_image *shape)
{
    return shape->height > 0 && shape->width > 0 && shape->oh > 0 && shape->ow > 0;
}

struct sl_image_to_float {
    const uint8_t *x;
    int32_t top, left; /* may be negative */
    bool flip;
    float scale[3], shift[3];
    float *y;
};
#endif
