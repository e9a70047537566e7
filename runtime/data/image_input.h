/* From the bytes of a JPEG to a network's input: the one way that training, evaluation and prediction take. It has two
 * steps, because the decoded bytes between them may be cached. */
#ifndef SL_RUNTIME_DATA_IMAGE_INPUT_H
#define SL_RUNTIME_DATA_IMAGE_INPUT_H

#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/pixels.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_image_input {
    struct sl_image shape;
    const struct sl_kernel *to_float;
    float scale[3], shift[3];
    bool apply_orientation;
};

/* SL_BAD_CONFIG: no image has this size, or a batch of them is larger than 16 GiB. */
int sl_image_input_open(const struct sl_pixels *pixels, int32_t batch_size, struct sl_image_input *input);

size_t sl_image_input_values(const struct sl_image_input *input);  /* bytes of the pixels, floats of the input */
size_t sl_image_input_scratch(const struct sl_image_input *input); /* bytes */

/* Decodes, resizes and turns to rgb[size][size][3]. The errors of sl_jpeg_decode. */
int sl_image_input_decode(const struct sl_image_input *input, struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length,
                          uint8_t *rgb);

/* The window of an augmented image; zero is the image itself. */
struct sl_image_window {
    int32_t top, left;
    bool flip;
};

/* Writes the input[size][size][3]. `scratch` is aligned to 64 bytes. */
void sl_image_input_fill(const struct sl_image_input *input, const uint8_t *rgb, struct sl_image_window window,
                         void *scratch, float *to);

#ifdef __cplusplus
}
#endif
#endif
