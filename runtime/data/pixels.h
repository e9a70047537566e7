/* How the pixels of an image become a network's input. A data set proposes this; a model keeps it of the data set that
 * it learned from. */
#ifndef SL_RUNTIME_DATA_PIXELS_H
#define SL_RUNTIME_DATA_PIXELS_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_pixel_range {
    SL_PIXELS_UNIT,         /* x/255: the default */
    SL_PIXELS_STANDARDISED, /* (x/255 - mean)/deviation, per channel */
};

struct sl_pixels {
    int32_t size; /* the input is [size][size][3] */
    enum sl_pixel_range range;
    double mean[3], deviation[3]; /* of images in [0,1], RGB; a channel without deviation is only centred */
    bool apply_orientation;       /* images are turned as their EXIF orientation says; false: as stored */
    bool fast_decode;             /* sl_jpeg_decode_fast; never proposed by a data set */
};

#ifdef __cplusplus
}
#endif
#endif
