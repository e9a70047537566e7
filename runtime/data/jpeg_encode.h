/* Writing a JPEG through TurboJPEG. */
#ifndef SL_RUNTIME_DATA_JPEG_ENCODE_H
#define SL_RUNTIME_DATA_JPEG_ENCODE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As sl_jpeg_encode. *encoder is made when it is NULL, and closed by sl_jpeg_encoder_close(). */
int sl_jpeg_encoder_encode(void **encoder, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                           uint8_t **bytes, size_t *length);
void sl_jpeg_encoder_close(void *encoder); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
