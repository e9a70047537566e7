#include "runtime/data/image_input.h"

#include "runtime/data/dataset.h"

static const uint64_t max_batch_bytes = UINT64_C(1) << 34;

static void set_range(const struct sl_pixels *pixels, float scale[3], float shift[3])
{
    for (int c = 0; c < 3; c++) {
        const bool standardised = pixels->range == SL_PIXELS_STANDARDISED;
        const double d = standardised && pixels->deviation[c] > 0 ? pixels->deviation[c] : 1.0;
        scale[c] = (float)(1.0 / (255.0 * d));
        shift[c] = (float)(standardised ? -pixels->mean[c] / d : 0.0);
    }
}

int sl_image_input_open(const struct sl_pixels *pixels, int32_t batch_size, struct sl_image_input *input)
{
    const int32_t size = pixels->size;
    if (size < 1 || size > SL_DATASET_MAX_IMAGE_SIZE)
        return sl_fail(SL_BAD_CONFIG, "images of %d pixels a side; it must be 1 to %d", size,
                       SL_DATASET_MAX_IMAGE_SIZE);
    const uint64_t bytes = (uint64_t)size * (uint64_t)size * 3 * sizeof(float);
    if (batch_size < 1 || (uint64_t)batch_size > max_batch_bytes / bytes)
        return sl_fail(SL_BAD_CONFIG, "a batch size of %d; 1 to %llu can be at %d pixels a side", batch_size,
                       (unsigned long long)(max_batch_bytes / bytes), size);
    input->size = size;
    input->apply_orientation = pixels->apply_orientation;
    input->fast_decode = pixels->fast_decode;
    set_range(pixels, input->scale, input->shift);
    return SL_OK;
}

size_t sl_image_input_bytes(const struct sl_image_input *input)
{
    return (size_t)input->size * (size_t)input->size * 3;
}

int sl_image_input_decode(const struct sl_image_input *input, struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length,
                          uint8_t *rgb)
{
    return (input->fast_decode ? sl_jpeg_decode_fast : sl_jpeg_decode)(jpeg, bytes, length, input->size,
                                                                       input->apply_orientation, rgb);
}
