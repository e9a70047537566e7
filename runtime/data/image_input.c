#include "runtime/data/image_input.h"

#include <string.h>

#include "runtime/data/dataset.h"

static const uint64_t max_batch_bytes = UINT64_C(1) << 34;

/* value = byte*scale + shift, per channel */
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
        return sl_fail(SL_BAD_CONFIG, "images of %d pixels a side; 1 to %d can be", size, SL_DATASET_MAX_IMAGE_SIZE);
    const uint64_t bytes = (uint64_t)size * (uint64_t)size * 3 * sizeof(float);
    if (batch_size < 1 || (uint64_t)batch_size > max_batch_bytes / bytes)
        return sl_fail(SL_BAD_CONFIG, "a batch size of %d; 1 to %llu can be at %d pixels a side", batch_size,
                       (unsigned long long)(max_batch_bytes / bytes), size);
    input->shape = (struct sl_image){size, size, size, size};
    input->to_float = sl_pick(SL_OP_image_to_float, &input->shape, sl_isa())->kernel;
    input->apply_orientation = pixels->apply_orientation;
    set_range(pixels, input->scale, input->shift);
    return SL_OK;
}

size_t sl_image_input_values(const struct sl_image_input *input)
{
    return (size_t)input->shape.oh * (size_t)input->shape.ow * 3;
}

size_t sl_image_input_scratch(const struct sl_image_input *input)
{
    return sl_kernel_scratch(input->to_float, &input->shape);
}

int sl_image_input_decode(const struct sl_image_input *input, struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length,
                          uint8_t *rgb)
{
    return sl_jpeg_decode(jpeg, bytes, length, input->shape.height, input->apply_orientation, rgb);
}

void sl_image_input_fill(const struct sl_image_input *input, const uint8_t *rgb, struct sl_image_window window,
                         void *scratch, float *to)
{
    struct sl_image_to_float args = {.x = rgb, .y = to, .top = window.top, .left = window.left, .flip = window.flip};
    memcpy(args.scale, input->scale, sizeof args.scale);
    memcpy(args.shift, input->shift, sizeof args.shift);
    const struct sl_work work = {0, sl_kernel_units(input->to_float, &input->shape), scratch, NULL};
    input->to_float->run(&input->shape, &args, &work);
}
