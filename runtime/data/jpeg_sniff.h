/* What a file is, by its first bytes. */
#ifndef SL_RUNTIME_DATA_JPEG_SNIFF_H
#define SL_RUNTIME_DATA_JPEG_SNIFF_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "a PNG image", "text", "an empty file", ...; NULL for a JPEG. */
const char *sl_jpeg_sniff(const uint8_t *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
