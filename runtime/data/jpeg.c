#include "runtime/data/jpeg.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/data/jpeg_encode.h"
#include "runtime/data/jpeg_read.h"
#include "runtime/data/jpeg_sniff.h"
#include "runtime/data/orientation.h"
#include "runtime/data/resize.h"

struct sl_jpeg {
    struct sl_jpeg_reader *reader;
    void *encoder;   /* TurboJPEG's, made when it is first needed */
    uint8_t *pixels; /* a decoded image of another size or colour kind */
    size_t pixel_bytes;
};

int sl_jpeg_open(struct sl_jpeg **jpeg)
{
    struct sl_jpeg *self = calloc(1, sizeof *self);
    *jpeg = NULL;
    if (self)
        self->reader = sl_jpeg_reader_open();
    if (!self || !self->reader) {
        free(self);
        return sl_fail(SL_SYSTEM, "out of memory for a JPEG decoder");
    }
    *jpeg = self;
    return SL_OK;
}

void sl_jpeg_close(struct sl_jpeg *jpeg)
{
    if (!jpeg)
        return;
    sl_jpeg_reader_close(jpeg->reader);
    sl_jpeg_encoder_close(jpeg->encoder);
    free(jpeg->pixels);
    free(jpeg);
}

static int check_limits(const struct sl_jpeg_header *h)
{
    if (h->width < 1 || h->height < 1)
        return sl_fail(SL_BAD_DATA, "damaged JPEG header: %d x %d pixels", h->width, h->height);
    if ((int64_t)h->width * h->height > SL_JPEG_MAX_PIXELS)
        return sl_fail(SL_BAD_DATA, "%d x %d pixels, more than the %d that are allowed", h->width, h->height,
                       SL_JPEG_MAX_PIXELS);
    if (h->coefficient_bytes > SL_JPEG_MAX_COEFFICIENT_BYTES)
        return sl_fail(
            SL_BAD_DATA,
            "%d x %d pixels in several scans need %llu MiB while they are decoded, more than the %d that are allowed; "
            "store it without progressive scans, or smaller",
            h->width, h->height, (unsigned long long)(h->coefficient_bytes >> 20), SL_JPEG_MAX_COEFFICIENT_BYTES >> 20);
    return SL_OK;
}

/* sl_jpeg_read_end() follows in any case. */
static int read_header(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, struct sl_jpeg_header *h)
{
    int rc = SL_OK;
    const char *what = sl_jpeg_sniff(bytes, length);
    if (what)
        SL_FAIL(SL_BAD_DATA, "not a JPEG image but %s", what);
    if (length > SL_JPEG_MAX_BYTES)
        SL_FAIL(SL_BAD_DATA, "%zu bytes, more than the %d that are allowed", length, SL_JPEG_MAX_BYTES);
    SL_TRY(sl_jpeg_read_begin(jpeg->reader, bytes, length, h));
    SL_TRY(check_limits(h));
out:
    return rc;
}

int sl_jpeg_size(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t *width, int32_t *height)
{
    struct sl_jpeg_header h = {0};
    const int rc = read_header(jpeg, bytes, length, &h);
    sl_jpeg_read_end(jpeg->reader);
    *width = h.width;
    *height = h.height;
    return rc;
}

static int reserve(struct sl_jpeg *jpeg, size_t bytes)
{
    if (bytes <= jpeg->pixel_bytes)
        return SL_OK;
    free(jpeg->pixels);
    jpeg->pixels = malloc(bytes);
    jpeg->pixel_bytes = jpeg->pixels ? bytes : 0;
    return jpeg->pixels ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for %zu bytes of pixels", bytes);
}

/* One huge photo must not hold its memory for the rest of the run. */
static void release(struct sl_jpeg *jpeg)
{
    enum { KEPT = 16 << 20 };
    if (jpeg->pixel_bytes <= KEPT)
        return;
    free(jpeg->pixels);
    jpeg->pixels = NULL;
    jpeg->pixel_bytes = 0;
}

static int32_t scaled(int32_t side, int32_t eighths)
{
    return (int32_t)(((int64_t)side * eighths + 7) / 8);
}

static bool exceeds(const struct sl_jpeg_header *h, int32_t eighths, int64_t pixels)
{
    return (int64_t)scaled(h->width, eighths) * scaled(h->height, eighths) > pixels;
}

/* The scale at which an image is decoded. Halves come first: libjpeg is faster with them than at full size, and slower
 * with other eighths. An image so narrow that its scaled side would fall below the wanted size may have more pixels
 * than either limit. */
static int32_t choose_eighths(const struct sl_jpeg_header *h, int32_t size)
{
    int32_t eighths = 8;
    const int32_t narrow = h->width < h->height ? h->width : h->height;
    while (eighths > 1 && exceeds(h, eighths, SL_JPEG_USUAL_PIXELS) && scaled(narrow, eighths / 2) >= size)
        eighths /= 2;
    while (eighths > 1 && exceeds(h, eighths, SL_JPEG_MAX_DECODED_PIXELS) && scaled(narrow, eighths - 1) >= size)
        eighths--;
    return eighths;
}

/* Inverted CMYK to RGB, in place: no byte is written before it was read. */
static void cmyk_to_rgb(uint8_t *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t k = pixels[i * 4 + 3];
        for (size_t c = 0; c < 3; c++)
            pixels[i * 3 + c] = (uint8_t)((pixels[i * 4 + c] * k + 127) / 255);
    }
}

static int decode_stored(struct sl_jpeg *jpeg, const struct sl_jpeg_header *h, int32_t size, bool fast, uint8_t *rgb)
{
    int rc = SL_OK;
    const int32_t eighths = choose_eighths(h, size);
    const struct sl_jpeg_way way = {.eighths = eighths, .fast = fast};
    const int32_t width = scaled(h->width, eighths), height = scaled(h->height, eighths);
    const bool same = width == size && height == size;
    const size_t count = (size_t)width * (size_t)height;
    if (count > (size_t)2 * SL_JPEG_MAX_DECODED_PIXELS)
        SL_FAIL(SL_BAD_DATA, "%d x %d pixels are too many to decode, and too narrow to be decoded smaller", h->width,
                h->height);
    if (same && !h->four)
        return sl_jpeg_read_pixels(jpeg->reader, &way, rgb);
    SL_TRY(reserve(jpeg, count * (h->four ? 4 : 3)));
    SL_TRY(sl_jpeg_read_pixels(jpeg->reader, &way, jpeg->pixels));
    if (h->four)
        cmyk_to_rgb(jpeg->pixels, count);
    if (same)
        memcpy(rgb, jpeg->pixels, count * 3);
    else
        SL_TRY(sl_resize(jpeg->pixels, width, height, size, rgb));
out:
    return rc;
}

static int decode(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, bool apply_orientation,
                  bool fast, uint8_t *rgb)
{
    int rc = SL_OK;
    struct sl_jpeg_header h;
    SL_TRY(read_header(jpeg, bytes, length, &h));
    SL_TRY(decode_stored(jpeg, &h, size, fast, rgb));
    if (apply_orientation)
        sl_orientation_turn(sl_orientation_of_jpeg(bytes, length), size, rgb);
out:
    sl_jpeg_read_end(jpeg->reader);
    release(jpeg);
    return rc;
}

int sl_jpeg_decode(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, bool apply_orientation,
                   uint8_t *rgb)
{
    return decode(jpeg, bytes, length, size, apply_orientation, false, rgb);
}

int sl_jpeg_decode_fast(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, bool apply_orientation,
                        uint8_t *rgb)
{
    return decode(jpeg, bytes, length, size, apply_orientation, true, rgb);
}

int sl_jpeg_encode(struct sl_jpeg *jpeg, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                   uint8_t **bytes, size_t *length)
{
    return sl_jpeg_encoder_encode(&jpeg->encoder, rgb, width, height, quality, bytes, length);
}
