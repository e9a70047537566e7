/* The EXIF orientation: how the camera was held, and how its picture is turned upright. */
#ifndef SL_RUNTIME_DATA_ORIENTATION_H
#define SL_RUNTIME_DATA_ORIENTATION_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The orientation that a JPEG's EXIF block tells, 1 to 8; 1 (upright) without one, or where it makes no sense. */
int32_t sl_orientation_of_jpeg(const uint8_t *bytes, size_t length);

/* Turns rgb[size][size][3], stored with that orientation (1 to 8), upright in place. */
void sl_orientation_turn(int32_t orientation, int32_t size, uint8_t *rgb);

#ifdef __cplusplus
}
#endif
#endif
