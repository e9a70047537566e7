/* A decoder's parts: reading through libjpeg (jpeg_read.c), limits, sizes and colours (jpeg.c), encoding
 * (jpeg_encode.c). */
#ifndef SL_RUNTIME_DATA_JPEG_INTERNAL_H
#define SL_RUNTIME_DATA_JPEG_INTERNAL_H

#include "runtime/data/jpeg.h"

struct sl_jpeg {
    struct sl_jpeg_reader *reader;
    void *encoder;   /* TurboJPEG's, made when it is first needed */
    uint8_t *pixels; /* a decoded image of another size or colour kind */
    size_t pixel_bytes;
};

struct sl_jpeg_header {
    int32_t width, height;
    bool four;                  /* CMYK or YCCK */
    uint64_t coefficient_bytes; /* held while decoding; 0 for an image of one scan */
};

struct sl_jpeg_reader *sl_jpeg_reader_open(void); /* NULL: out of memory */
void sl_jpeg_reader_close(struct sl_jpeg_reader *reader);

/* Reads the header. Whatever the result, sl_jpeg_read_end() follows; `bytes` must live until then. SL_BAD_DATA,
 * SL_SYSTEM. */
int sl_jpeg_read_begin(struct sl_jpeg_reader *reader, const uint8_t *bytes, size_t length,
                       struct sl_jpeg_header *header);

/* Decodes the pixels at eighths/8 of the size (each side rounded up), once after sl_jpeg_read_begin(), to RGB or, where
 * header.four, inverted CMYK. SL_BAD_DATA, SL_SYSTEM. */
int sl_jpeg_read_pixels(struct sl_jpeg_reader *reader, int32_t eighths, uint8_t *to);
void sl_jpeg_read_end(struct sl_jpeg_reader *reader);

void sl_jpeg_encoder_close(void *encoder);

#endif
