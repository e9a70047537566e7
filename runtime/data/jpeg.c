#include "runtime/data/jpeg.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

#include "runtime/data/resize.h"

/* A warning means that pixels were guessed; more than 500 scans are an attack on the decoder's time. */
enum { DECODE_FLAGS = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS };

struct sl_jpeg {
    tjhandle decoder, encoder; /* the encoder is made when it is first needed */
    uint8_t *pixels;           /* a decoded image of another size or colour kind */
    size_t pixel_bytes;
};

struct header {
    int width, height, subsampling, colour;
};

static const struct {
    const char *magic;
    size_t length;
    const char *text;
} formats[] = {
    {"\x89PNG", 4, "a PNG image"},
    {"GIF8", 4, "a GIF image"},
    {"BM", 2, "a BMP image"},
    {"II*\0", 4, "a TIFF image"},
    {"MM\0*", 4, "a TIFF image"},
    {"RIFF", 4, "a RIFF file (WebP?)"},
    {"PK\3\4", 4, "a ZIP archive"},
    {"\x1f\x8b", 2, "a gzip file"},
    {"\x28\xb5\x2f\xfd", 4, "a zstd file"},
    {"%PDF", 4, "a PDF document"},
    {"\0\0\0\x0cjP  ", 8, "a JPEG 2000 image"},
};

static bool is_text(const uint8_t *bytes, size_t length)
{
    const size_t n = length < 64 ? length : 64;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == 0x7f || bytes[i] >= 0xf8 || (bytes[i] < 0x20 && !strchr("\t\n\r\f", bytes[i])) || !bytes[i])
            return false;
    return true;
}

const char *sl_jpeg_sniff(const uint8_t *bytes, size_t length)
{
    if (length == 0)
        return "an empty file";
    if (length >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff)
        return NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (length >= formats[i].length && !memcmp(bytes, formats[i].magic, formats[i].length))
            return formats[i].text;
    return is_text(bytes, length) ? "text" : "no known image format";
}

int sl_jpeg_open(struct sl_jpeg **jpeg)
{
    struct sl_jpeg *self = calloc(1, sizeof *self);
    *jpeg = NULL;
    if (self)
        self->decoder = tjInitDecompress();
    if (!self || !self->decoder) {
        free(self);
        return sl_fail(SL_SYSTEM, "no memory for a JPEG decoder");
    }
    *jpeg = self;
    return SL_OK;
}

void sl_jpeg_close(struct sl_jpeg *jpeg)
{
    if (!jpeg)
        return;
    if (jpeg->decoder)
        tjDestroy(jpeg->decoder);
    if (jpeg->encoder)
        tjDestroy(jpeg->encoder);
    free(jpeg->pixels);
    free(jpeg);
}

/* Fails with TurboJPEG's reason. After an error a handle of TurboJPEG 2.1 may take the next, sound image for damaged,
 * so it is replaced; should there be no memory for a new one, the next image says so. */
static int refuse(struct sl_jpeg *jpeg, const char *what)
{
    sl_fail(SL_BAD_DATA, "%s: %s", what, tjGetErrorStr2(jpeg->decoder));
    tjDestroy(jpeg->decoder);
    jpeg->decoder = tjInitDecompress();
    return SL_BAD_DATA;
}

static int read_header(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, struct header *h)
{
    const char *what = sl_jpeg_sniff(bytes, length);
    if (what)
        return sl_fail(SL_BAD_DATA, "not a JPEG image but %s", what);
    if (length > SL_JPEG_MAX_BYTES)
        return sl_fail(SL_BAD_DATA, "%zu bytes, more than the %d allowed", length, SL_JPEG_MAX_BYTES);
    if (!jpeg->decoder)
        return sl_fail(SL_SYSTEM, "no memory for a JPEG decoder");
    if (tjDecompressHeader3(jpeg->decoder, bytes, length, &h->width, &h->height, &h->subsampling, &h->colour) != 0)
        return refuse(jpeg, "damaged JPEG header");
    if (h->width < 1 || h->height < 1)
        return sl_fail(SL_BAD_DATA, "damaged JPEG header: %d x %d pixels", h->width, h->height);
    if (h->width > SL_JPEG_MAX_SIDE || h->height > SL_JPEG_MAX_SIDE ||
        (int64_t)h->width * h->height > SL_JPEG_MAX_PIXELS)
        return sl_fail(SL_BAD_DATA, "%d x %d pixels; at most %d a side and %d in all are read", h->width, h->height,
                       SL_JPEG_MAX_SIDE, SL_JPEG_MAX_PIXELS);
    return SL_OK;
}

int sl_jpeg_size(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t *width, int32_t *height)
{
    struct header h = {0};
    const int rc = read_header(jpeg, bytes, length, &h);
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
    return jpeg->pixels ? SL_OK : sl_fail(SL_SYSTEM, "no memory for %zu bytes of pixels", bytes);
}

static int decompress(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, const struct header *h, int format,
                      uint8_t *to)
{
    if (tjDecompress2(jpeg->decoder, bytes, length, to, h->width, 0, h->height, format, DECODE_FLAGS) != 0)
        return refuse(jpeg, "truncated or damaged JPEG");
    return SL_OK;
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

int sl_jpeg_decode(struct sl_jpeg *jpeg, const uint8_t *bytes, size_t length, int32_t size, uint8_t *rgb)
{
    int rc = SL_OK;
    struct header h;
    SL_TRY(read_header(jpeg, bytes, length, &h));
    const bool four = h.colour == TJCS_CMYK || h.colour == TJCS_YCCK, same = h.width == size && h.height == size;
    if (same && !four) {
        SL_TRY(decompress(jpeg, bytes, length, &h, TJPF_RGB, rgb));
        goto out;
    }
    const size_t count = (size_t)h.width * (size_t)h.height;
    SL_TRY(reserve(jpeg, count * (four ? 4 : 3)));
    SL_TRY(decompress(jpeg, bytes, length, &h, four ? TJPF_CMYK : TJPF_RGB, jpeg->pixels));
    if (four)
        cmyk_to_rgb(jpeg->pixels, count);
    if (same)
        memcpy(rgb, jpeg->pixels, count * 3);
    else
        SL_TRY(sl_resize(jpeg->pixels, h.width, h.height, size, rgb));
out:
    return rc;
}

static bool is_grey(const uint8_t *rgb, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rgb[i * 3] != rgb[i * 3 + 1] || rgb[i * 3] != rgb[i * 3 + 2])
            return false;
    return true;
}

int sl_jpeg_encode(struct sl_jpeg *jpeg, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                   uint8_t **bytes, size_t *length)
{
    int rc = SL_OK;
    unsigned char *made = NULL;
    unsigned long made_length = 0;
    *bytes = NULL;
    *length = 0;
    if (!jpeg->encoder && !(jpeg->encoder = tjInitCompress()))
        SL_FAIL(SL_SYSTEM, "no memory for a JPEG encoder");
    const int subsampling = is_grey(rgb, (size_t)width * (size_t)height) ? TJSAMP_GRAY : TJSAMP_420;
    if (tjCompress2(jpeg->encoder, rgb, width, 0, height, TJPF_RGB, &made, &made_length, subsampling, quality,
                    TJFLAG_ACCURATEDCT) != 0)
        SL_FAIL(SL_INTERNAL, "cannot encode a JPEG of %d x %d: %s", width, height, tjGetErrorStr2(jpeg->encoder));
    /* TurboJPEG's memory may come from another allocator than free() expects. */
    *bytes = malloc(made_length);
    if (!*bytes)
        SL_FAIL(SL_SYSTEM, "no memory for a JPEG of %lu bytes", made_length);
    memcpy(*bytes, made, made_length);
    *length = made_length;
out:
    tjFree(made);
    return rc;
}
