/* The Huffman codes of baseline JPEG: from entropy-coded bytes to blocks of coefficients. It knows no image: whose
 * block comes next, and by which tables, is the caller's.
 *
 * Only streams without a flaw are decoded. Whatever is odd (a code that no table has, a run that leaves its block,
 * bytes that end too early) is refused, and the caller asks libjpeg, whose word counts. */
#ifndef SL_RUNTIME_DATA_JPEG_HUFFMAN_H
#define SL_RUNTIME_DATA_JPEG_HUFFMAN_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SL_HUFFMAN_TABLES = 4,
    SL_HUFFMAN_CODES = 256,
    SL_HUFFMAN_LENGTHS = 17,
    SL_HUFFMAN_BLOCKS = 10, /* of an MCU */
    SL_HUFFMAN_COMPONENTS = 4,
    SL_HUFFMAN_MAX_BYTES = 1 << 20
};

/* The blocks of an MCU in their order. */
struct sl_huffman_mcu {
    int count;
    struct {
        int component, dc, ac; /* numbers of tables */
    } blocks[SL_HUFFMAN_BLOCKS];
};

struct sl_huffman;

struct sl_huffman *sl_huffman_open(void); /* NULL: out of memory */
void sl_huffman_close(struct sl_huffman *huffman);

/* Table `number` of each kind, as DHT markers write it: counts[l] codes of l bits, and the values of all codes in
 * order. A table that is what it was costs a comparison. False: these are no codes. */
bool sl_huffman_dc_table(struct sl_huffman *huffman, int number, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                         const uint8_t values[SL_HUFFMAN_CODES]);
bool sl_huffman_ac_table(struct sl_huffman *huffman, int number, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                         const uint8_t values[SL_HUFFMAN_CODES]);

/* Takes a copy of the entropy-coded bytes before the first marker, and says how many they are. 0: no marker ends them,
 * they are more than SL_HUFFMAN_MAX_BYTES, or there is no memory. */
size_t sl_huffman_begin(struct sl_huffman *huffman, const struct sl_huffman_mcu *mcu, const uint8_t *bytes,
                        size_t length);

/* Decodes the next MCU into its blocks, which are all zero; coefficients come in their natural order. False: odd. */
bool sl_huffman_next(struct sl_huffman *huffman, int16_t (*const *blocks)[64]);

#ifdef __cplusplus
}
#endif
#endif
