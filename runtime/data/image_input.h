/* From the bytes of a JPEG to a network's input: the one way that training, evaluation and prediction take. The decoded
 * bytes may be cached; kernels/image/image.h makes floats of them, with a window for each image, on the device. */
#ifndef SL_RUNTIME_DATA_IMAGE_INPUT_H
#define SL_RUNTIME_DATA_IMAGE_INPUT_H

#include "runtime/data/jpeg.h"
#include "runtime/data/pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_image_input {
    int32_t size;
    float scale[3], shift[3]; /* value = byte*scale + shift, per channel */
    bool apply_orientation, fast_decode;
};

/* SL_BAD_CONFIG: no image has this size, or the floats of a batch of them are more than 16 GiB. */
int sl_image_input_open(const struct sl_pixels *pixels, int32_t batch_size, struct sl_image_input *input);

/* Bytes of a decoded image. */
size_t sl_image_input_bytes(const struct sl_image_input *input);

/* Decodes, resizes and turns to rgb[size][size][3]. The errors of sl_jpeg_decode. */
int sl_image_input_decode(const struct sl_image_input *input, struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length,
                          uint8_t *rgb);

#ifdef __cplusplus
}
#endif
#endif
