/* JPEG bytes to RGB of a wanted size, through TurboJPEG. Handles are reused: one decoder per thread. */
#ifndef SL_RUNTIME_DATA_JPEG_H
#define SL_RUNTIME_DATA_JPEG_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_JPEG_MAX_SIDE = 16384, SL_JPEG_MAX_PIXELS = 64 << 20, SL_JPEG_MAX_BYTES = 64 << 20 };

struct sl_jpeg;

/* What the first bytes look like: "a PNG image", "text", "an empty file", ...; NULL for a JPEG. */
const char *sl_jpeg_sniff(const uint8_t *bytes, size_t length);

int sl_jpeg_open(struct sl_jpeg **jpeg);
void sl_jpeg_close(struct sl_jpeg *jpeg);

/* Size without decoding the pixels. SL_BAD_DATA: not a JPEG (says what it looks like), damaged, or over the caps above.
 */
int sl_jpeg_size(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t *width, int32_t *height);

/* Decodes grey, YCbCr, RGB, CMYK or YCCK of any size to rgb[size][size][3]; resizes (triangle filter, aspect not kept,
 * as DL4J) only when the size differs. CMYK is read by Adobe's convention (inverted), without colour profiles; the EXIF
 * orientation is ignored. A truncated or damaged image is SL_BAD_DATA, not a guess. */
int sl_jpeg_decode(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, uint8_t *rgb);

/* Encodes rgb[height][width][3] at `quality` (4:2:0, or as grey if no pixel has a colour); the caller frees *bytes with
 * free(). */
int sl_jpeg_encode(struct sl_jpeg *jpeg, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                   uint8_t **bytes, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
