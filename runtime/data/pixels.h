/* From a byte to the network's input: value = byte*scale + shift, per channel. */
#ifndef SL_RUNTIME_DATA_PIXELS_H
#define SL_RUNTIME_DATA_PIXELS_H

#include "runtime/data/loader.h"

/* x/255, or (x/255 - mean)/deviation; mean and deviation are of images in [0, 1]. A channel without deviation is only
 * centred. */
static inline void sl_pixel_range(enum sl_pixel_range range, const double mean[3], const double deviation[3],
                                  float scale[3], float shift[3])
{
    for (int c = 0; c < 3; c++) {
        const bool standardised = range == SL_PIXELS_STANDARDISED;
        const double d = standardised && deviation[c] > 0 ? deviation[c] : 1.0;
        scale[c] = (float)(1.0 / (255.0 * d));
        shift[c] = (float)(standardised ? -mean[c] / d : 0.0);
    }
}
#endif
