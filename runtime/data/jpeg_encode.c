#include "runtime/data/jpeg_encode.h"

#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

void sl_jpeg_encoder_close(void *encoder)
{
    if (encoder)
        tjDestroy(encoder);
}

static bool is_grey(const uint8_t *rgb, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rgb[i * 3] != rgb[i * 3 + 1] || rgb[i * 3] != rgb[i * 3 + 2])
            return false;
    return true;
}

int sl_jpeg_encoder_encode(void **encoder, const uint8_t *rgb, int32_t width, int32_t height, int quality,
                           uint8_t **bytes, size_t *length)
{
    int rc = SL_OK;
    unsigned char *made = NULL;
    unsigned long made_length = 0;
    *bytes = NULL;
    *length = 0;
    if (!*encoder && !(*encoder = tjInitCompress()))
        SL_FAIL(SL_SYSTEM, "out of memory for a JPEG encoder");
    const int subsampling = is_grey(rgb, (size_t)width * (size_t)height) ? TJSAMP_GRAY : TJSAMP_420;
    if (tjCompress2(*encoder, rgb, width, 0, height, TJPF_RGB, &made, &made_length, subsampling, quality,
                    TJFLAG_ACCURATEDCT) != 0)
        SL_FAIL(SL_INTERNAL, "cannot encode a JPEG of %d x %d: %s", width, height, tjGetErrorStr2(*encoder));
    /* TurboJPEG's memory may come from another allocator than free() expects. */
    *bytes = malloc(made_length);
    if (!*bytes)
        SL_FAIL(SL_SYSTEM, "out of memory for a JPEG of %lu bytes", made_length);
    memcpy(*bytes, made, made_length);
    *length = made_length;
out:
    tjFree(made);
    return rc;
}
