/* image_to_float: decoded bytes to the network's input, floats or bf16, image by image out of a store of them.
 *
 *   y[n,i,j,c] = x[index, i + top, j + left (or mirrored), c] * scale[c] + shift[c],  index, top, left, flip of place n
 * in one fused multiply-add, rounded to the element: every row gives the same bits.
 * x is [images][height, width, 3] bytes; y is [n, oh, ow, 3], three elements a pixel. Pixels of the window
 * outside the image read as byte 0 (random crop with padding). flip mirrors the output's columns. */
#ifndef SL_KERNELS_IMAGE_IMAGE_H
#define SL_KERNELS_IMAGE_IMAGE_H

#include "kernels/base.h"

struct sl_image {
    int32_t height, width; /* of x */
    int32_t oh, ow;        /* of y */
    int32_t n;
    enum sl_element element; /* of y */
};

/* Which image becomes one of the batch, and which window of it. */
struct sl_image_place {
    int64_t index;
    int32_t top, left; /* may be negative */
    int32_t flip;      /* 0 or 1 */
};

/* What every row takes for granted of a shape. */
static inline bool sl_image_is_sound(const struct sl_image *shape)
{
    return shape->height > 0 && shape->width > 0 && shape->oh > 0 && shape->ow > 0;
}

struct sl_image_to_float {
    const uint8_t *x;
    const struct sl_image_place *places; /* [n] */
    float scale[3], shift[3];
    void *y;
};
#endif
