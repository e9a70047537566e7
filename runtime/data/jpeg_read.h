/* Reading a JPEG through libjpeg: one decoder, one image after the other. */
#ifndef SL_RUNTIME_DATA_JPEG_READ_H
#define SL_RUNTIME_DATA_JPEG_READ_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_jpeg_header {
    int32_t width, height;
    bool four;                  /* CMYK or YCCK */
    uint64_t coefficient_bytes; /* held while decoding; 0 for an image of one scan */
};

struct sl_jpeg_reader;

struct sl_jpeg_reader *sl_jpeg_reader_open(void); /* NULL: out of memory */
void sl_jpeg_reader_close(struct sl_jpeg_reader *reader);

/* Reads the header. Whatever the result, sl_jpeg_read_end() follows; `bytes` must live until then. SL_BAD_DATA,
 * SL_SYSTEM. */
int sl_jpeg_read_begin(struct sl_jpeg_reader *reader, const uint8_t *bytes, size_t length,
                       struct sl_jpeg_header *header);

struct sl_jpeg_way {
    int32_t eighths;    /* of the size, each side rounded up */
    bool fast;          /* the faster, less exact inverse transform, and chroma that is repeated, not interpolated */
    bool libjpeg_alone; /* Huffman codes are libjpeg's too: the same pixels and verdicts, slower */
};

/* Decodes the pixels, once after sl_jpeg_read_begin(), to RGB or, where header.four, inverted CMYK. SL_BAD_DATA,
 * SL_SYSTEM. */
int sl_jpeg_read_pixels(struct sl_jpeg_reader *reader, const struct sl_jpeg_way *way, uint8_t *to);
void sl_jpeg_read_end(struct sl_jpeg_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
