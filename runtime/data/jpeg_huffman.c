/* A code and the bits of the coefficient behind it are looked up together, by the next LOOK bits: one step for nineteen
 * symbols of twenty, and no branch that depends on them. The few others are decoded length by length.
 *
 * The stream is read from a copy without stuffed zeros, and padded, so that a refill is one load. */
#include "runtime/data/jpeg_huffman.h"

#include <stdlib.h>
#include <string.h>

/* A block takes at most 64 symbols of MOST_BITS; after a refill there are at least FULL bits. Two symbols by table and
 * one without need no more. */
enum {
    LOOK = 10,
    LONGEST = 16,
    MOST_BITS = LONGEST + 15,
    FULL = 56,
    SYMBOLS_A_REFILL = 3,
    LAST = 63,
    MOST_DC = 1 << 20
};
enum { PADDING = SL_HUFFMAN_BLOCKS * 64 * MOST_BITS / 8 + 2 * (int)sizeof(uint64_t) };
_Static_assert((SYMBOLS_A_REFILL - 1) * LOOK + MOST_BITS <= FULL, "a refill must suffice");

/* What the next LOOK bits begin with, packed so that it is one load: a coefficient, the zeros to skip before it, and
 * how many bits that takes. The end of a block skips END, more than any run. 0 bits: it takes more than LOOK, and the
 * second number is the length of its code, or as little as that can be. */
enum { END = 80 };

static inline int32_t step_of(int32_t value, uint32_t skip, uint32_t bits)
{
    return (int32_t)((uint32_t)value << 16 | skip << 8 | bits);
}

static inline int32_t value_of(int32_t step)
{
    return step >> 16;
}

static inline int32_t skip_of(int32_t step)
{
    return step >> 8 & 0xff;
}

static inline uint32_t bits_of(int32_t step)
{
    return (uint32_t)step & 0x3f;
}

struct table {
    uint8_t counts[SL_HUFFMAN_LENGTHS], values[SL_HUFFMAN_CODES];
    /* Codes of l bits are below end[l], unless a shorter one fits; value[offset[l] + code] is its symbol. */
    int32_t end[LONGEST + 1], offset[LONGEST + 1];
    int32_t steps[1 << LOOK];
};

/* The next bits, from the top; `at` is the first byte that is not among them. */
struct bits {
    uint64_t next;
    uint32_t count;
    const uint8_t *at;
};

struct sl_huffman {
    struct table dc[SL_HUFFMAN_TABLES], ac[SL_HUFFMAN_TABLES];
    uint8_t *stream; /* without stuffed zeros */
    size_t room, length;
    struct bits bits;
    struct sl_huffman_mcu mcu;
    int32_t dc_before[SL_HUFFMAN_COMPONENTS];
};

/* Where coefficient k stands in its block. What a run or an end leads to behind the block becomes the last place: at an
 * end that one is still zero, and is set to zero; after a run the block is refused. */
static const uint8_t natural[64 + END] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18,
    11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43,
    36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45,
    38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63, [64 ... 63 + END] = LAST,
};

struct sl_huffman *sl_huffman_open(void)
{
    return calloc(1, sizeof(struct sl_huffman));
}

void sl_huffman_close(struct sl_huffman *huffman)
{
    if (huffman)
        free(huffman->stream);
    free(huffman);
}

/* ---- tables ---- */

/* A coefficient of `size` bits: the upper half of their range as it is, the lower half below zero. */
static int32_t coefficient(uint32_t bits, uint32_t size)
{
    const int32_t upper = (int32_t)(1u << size >> 1);
    return (int32_t)bits < upper ? (int32_t)bits - 2 * upper + 1 : (int32_t)bits;
}

/* All the steps that begin with this code. */
static void fill_steps(struct table *table, uint32_t code, uint32_t length, uint8_t symbol, bool ac)
{
    const uint32_t size = ac ? symbol & 15 : symbol, run = ac ? symbol >> 4 : 0, bits = length + size;
    const bool whole = bits <= LOOK && !(ac && size == 0 && run == 15), end = ac && size == 0;
    int32_t *const steps = table->steps + (code << (LOOK - length));
    for (uint32_t low = 0; low < 1u << (LOOK - length); low++)
        steps[low] =
            whole ? step_of(coefficient(low >> (LOOK - bits), size), end ? END : run, bits) : step_of(0, length, 0);
}

static bool are_codes(const uint8_t counts[SL_HUFFMAN_LENGTHS], const uint8_t values[SL_HUFFMAN_CODES], bool ac)
{
    uint32_t code = 0, total = 0;
    for (uint32_t length = 1; length <= LONGEST; length++) {
        code = 2 * code + counts[length];
        total += counts[length];
        if (code > 1u << length || total > SL_HUFFMAN_CODES)
            return false;
    }
    for (uint32_t i = 0; !ac && i < total; i++)
        if (values[i] > MOST_BITS - LONGEST)
            return false;
    return true;
}

static void make_table(struct table *table, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                       const uint8_t values[SL_HUFFMAN_CODES], bool ac)
{
    uint32_t code = 0, i = 0;
    for (uint32_t low = 0; low < 1u << LOOK; low++)
        table->steps[low] = step_of(0, LOOK + 1, 0);
    memcpy(table->counts, counts, sizeof table->counts);
    memcpy(table->values, values, sizeof table->values);
    for (uint32_t length = 1; length <= LONGEST; length++, code <<= 1) {
        table->offset[length] = (int32_t)i - (int32_t)code;
        for (uint32_t k = 0; k < counts[length]; k++, i++, code++)
            if (length <= LOOK)
                fill_steps(table, code, length, values[i], ac);
        table->end[length] = (int32_t)code;
    }
}

static bool set_table(struct table *table, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                      const uint8_t values[SL_HUFFMAN_CODES], bool ac)
{
    if (!memcmp(table->counts, counts, sizeof table->counts) && !memcmp(table->values, values, sizeof table->values))
        return true;
    if (!are_codes(counts, values, ac))
        return false;
    make_table(table, counts, values, ac);
    return true;
}

bool sl_huffman_dc_table(struct sl_huffman *huffman, int number, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                         const uint8_t values[SL_HUFFMAN_CODES])
{
    return set_table(&huffman->dc[number], counts, values, false);
}

bool sl_huffman_ac_table(struct sl_huffman *huffman, int number, const uint8_t counts[SL_HUFFMAN_LENGTHS],
                         const uint8_t values[SL_HUFFMAN_CODES])
{
    return set_table(&huffman->ac[number], counts, values, true);
}

/* ---- the stream ---- */

/* Bytes before the first marker; `length` without one. */
static size_t find_marker(const uint8_t *bytes, size_t length)
{
    size_t at = 0;
    for (const uint8_t *found; (found = memchr(bytes + at, 0xff, length - at)); at += 2) {
        at = (size_t)(found - bytes);
        if (at + 1 == length)
            break;
        if (bytes[at + 1] != 0)
            return at;
    }
    return length;
}

static bool reserve(struct sl_huffman *huffman, size_t bytes)
{
    if (bytes <= huffman->room)
        return true;
    free(huffman->stream);
    huffman->stream = malloc(bytes);
    huffman->room = huffman->stream ? bytes : 0;
    return huffman->stream != NULL;
}

/* Copies a stream without the zero that follows every 0xff. */
static size_t unstuff(const uint8_t *bytes, size_t length, uint8_t *to)
{
    uint8_t *const begin = to;
    const uint8_t *const end = bytes + length;
    while (bytes < end) {
        const uint8_t *stuffed = memchr(bytes, 0xff, (size_t)(end - bytes));
        const size_t run = (size_t)((stuffed ? stuffed + 1 : end) - bytes);
        memcpy(to, bytes, run);
        to += run;
        bytes += run + (stuffed ? 1 : 0);
    }
    return (size_t)(to - begin);
}

size_t sl_huffman_begin(struct sl_huffman *huffman, const struct sl_huffman_mcu *mcu, const uint8_t *bytes,
                        size_t length)
{
    const size_t most = length < SL_HUFFMAN_MAX_BYTES ? length : SL_HUFFMAN_MAX_BYTES;
    const size_t coded = find_marker(bytes, most);
    if (coded == most || !reserve(huffman, coded + PADDING))
        return 0;
    huffman->length = unstuff(bytes, coded, huffman->stream);
    memset(huffman->stream + huffman->length, 0, PADDING);
    huffman->bits = (struct bits){.at = huffman->stream};
    huffman->mcu = *mcu;
    memset(huffman->dc_before, 0, sizeof huffman->dc_before);
    return coded;
}

/* ---- blocks ---- */

/* Written out: a compiler makes one load of this, and none of a loop. */
static inline uint64_t eight_bytes(const uint8_t *at)
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 | (uint64_t)at[3] << 32 |
           (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 | (uint64_t)at[6] << 8 | (uint64_t)at[7];
}

static inline void refill(struct bits *bits)
{
    bits->next |= eight_bytes(bits->at) >> bits->count;
    bits->at += (63 - bits->count) >> 3;
    bits->count |= FULL;
}

static inline uint32_t look(const struct bits *bits, uint32_t count)
{
    return (uint32_t)(bits->next >> 1 >> (63 - count));
}

static inline void drop(struct bits *bits, uint32_t count)
{
    bits->next <<= count;
    bits->count -= count;
}

/* The next symbol, whose code has at least `length` bits, or -1: no code of the table. */
static inline int32_t take_symbol(struct bits *bits, const struct table *table, uint32_t length)
{
    for (; length <= LONGEST; length++) {
        const int32_t code = (int32_t)look(bits, length);
        if (code < table->end[length]) {
            drop(bits, length);
            return table->values[table->offset[length] + code];
        }
    }
    return -1;
}

static inline int32_t take_coefficient(struct bits *bits, uint32_t size)
{
    const uint32_t value = look(bits, size);
    drop(bits, size);
    return coefficient(value, size);
}

static inline bool take_dc(struct bits *bits, const struct table *table, int32_t *dc)
{
    const int32_t step = table->steps[look(bits, LOOK)];
    if (bits_of(step)) {
        drop(bits, bits_of(step));
        *dc += value_of(step);
        return true;
    }
    const int32_t size = take_symbol(bits, table, (uint32_t)skip_of(step));
    if (size >= 0)
        *dc += take_coefficient(bits, (uint32_t)size);
    return size >= 0;
}

/* The step at coefficient k that is in no table of steps; gives the next k, or -1: no code. */
static inline int32_t take_long_step(struct bits *bits, const struct table *table, uint32_t length, int32_t k,
                                     int16_t block[64])
{
    const int32_t symbol = take_symbol(bits, table, length), size = symbol & 15;
    if (symbol < 0)
        return -1;
    k += symbol >> 4;
    if (size)
        block[natural[k]] = (int16_t)take_coefficient(bits, (uint32_t)size);
    return size || symbol == 0xf0 ? k + 1 : END + 1;
}

/* Coefficients from k = 1 on. Gives the k after the last: 64, more than END, or what no sound block has. */
static inline int32_t take_ac(struct bits *bits, const struct table *table, int16_t block[64])
{
    int32_t k = 1;
    while (k >= 0 && k <= LAST) {
        refill(bits);
        for (int i = 0; i < SYMBOLS_A_REFILL && k <= LAST; i++, k++) {
            const int32_t step = table->steps[look(bits, LOOK)];
            if (!bits_of(step)) {
                k = take_long_step(bits, table, (uint32_t)skip_of(step), k, block);
                break;
            }
            drop(bits, bits_of(step));
            k += skip_of(step);
            block[natural[k]] = (int16_t)value_of(step);
        }
    }
    return k;
}

static inline bool take_block(struct bits *bits, const struct table *dc, const struct table *ac, int32_t *dc_before,
                              int16_t block[64])
{
    refill(bits);
    if (!take_dc(bits, dc, dc_before) || abs(*dc_before) > MOST_DC)
        return false;
    block[0] = (int16_t)*dc_before;
    const int32_t k = take_ac(bits, ac, block);
    return k == LAST + 1 || k > END;
}

bool sl_huffman_next(struct sl_huffman *huffman, int16_t (*const *blocks)[64])
{
    const struct sl_huffman_mcu *mcu = &huffman->mcu;
    struct bits bits = huffman->bits;
    for (int i = 0; i < mcu->count; i++)
        if (!take_block(&bits, &huffman->dc[mcu->blocks[i].dc], &huffman->ac[mcu->blocks[i].ac],
                        &huffman->dc_before[mcu->blocks[i].component], blocks[i][0]))
            return false;
    huffman->bits = bits;
    return (size_t)(bits.at - huffman->stream) * 8 - bits.count <= huffman->length * 8;
}
