/* JPEG bytes to RGB of a wanted size, through libjpeg-turbo. One decoder per thread. */
#ifndef SL_RUNTIME_DATA_JPEG_H
#define SL_RUNTIME_DATA_JPEG_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The largest files and images that are read; a side has at most 65,500 pixels. Of an image of several scans
 * (progressive) libjpeg holds every coefficient: bytes of those. */
enum { SL_JPEG_MAX_BYTES = 256 << 20, SL_JPEG_MAX_PIXELS = 1 << 30, SL_JPEG_MAX_COEFFICIENT_BYTES = 768 << 20 };

/* A larger image is decoded at a half, a quarter or an eighth of its size: the largest with no more pixels than this,
 * but never below the wanted size. So a photograph takes little memory, and less time. */
enum { SL_JPEG_USUAL_PIXELS = 4 << 20 };

/* Where that leaves more pixels than this, other eighths of the size are tried too. */
enum { SL_JPEG_MAX_DECODED_PIXELS = 64 << 20 };

struct sl_jpeg;

int sl_jpeg_open(struct sl_jpeg **jpeg);  /* SL_SYSTEM */
void sl_jpeg_close(struct sl_jpeg *jpeg); /* NULL is fine */

/* The size in pixels as stored; nothing is decoded. SL_BAD_DATA: not a JPEG (the message says what it looks like),
 * without an image, damaged, or over the limits above. SL_SYSTEM. */
int sl_jpeg_size(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t *width, int32_t *height);

/* Decodes grey, YCbCr, RGB, CMYK or YCCK to rgb[size][size][3]. An image of another size is resized (resize.h). CMYK is
 * read by Adobe's convention (inverted), without colour profiles. `apply_orientation` turns the result as the EXIF
 * orientation says; else it is left as stored.
 *
 * The same bytes give the same pixels and the same verdict, whatever the decoder saw before. SL_BAD_DATA: truncated or
 * damaged; nothing is guessed. What only departs from the letter of the format (an odd JFIF revision, bytes between the
 * parts) is decoded. SL_SYSTEM: out of memory, which says nothing about the image. */
int sl_jpeg_decode(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, bool apply_orientation,
                   uint8_t *rgb);

/* The same, decoded faster and less exactly: another inverse transform, and chroma that is repeated where
 * sl_jpeg_decode interpolates it. */
int sl_jpeg_decode_fast(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, bool apply_orientation,
                        uint8_t *rgb);

/* Encodes rgb[height][width][3] at `quality`, 1 to 100, as 4:2:0, or as grey if no pixel has a colour. The caller frees
 * *bytes. SL_SYSTEM, SL_INTERNAL. */
int sl_jpeg_encode(struct sl_jpeg *jpeg, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                   uint8_t **bytes, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
