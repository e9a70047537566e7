/* Runs of bits, from the lowest of each byte up, through a word of 64. A host is little-endian. */
#ifndef SL_COMM_BITS_H
#define SL_COMM_BITS_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "words are copied as they lie in memory"
#endif

enum { SL_BITS_MOST = 56 }; /* in one go */

struct sl_bit_writer {
    uint8_t *at;
    uint64_t word; /* bits that begin at `at` */
    unsigned bits; /* of them; less than 8 between two calls */
};

/* Appends n <= SL_BITS_MOST bits; the others of `value` are zero. The 8 bytes from `at` on may be overwritten. */
static inline void sl_bits_put(struct sl_bit_writer *writer, uint64_t value, unsigned n)
{
    writer->word |= value << writer->bits;
    writer->bits += n;
    memcpy(writer->at, &writer->word, sizeof writer->word);
    writer->at += writer->bits / 8;
    writer->word >>= writer->bits / 8 * 8;
    writer->bits %= 8;
}

struct sl_bit_reader {
    const uint8_t *bytes; /* with 8 more to read behind the last */
    uint64_t at, end;     /* in bits; whoever moves `at` stops where it is past `end` */
};

/* The bits from `at` <= `end` on: SL_BITS_MOST of them, and one more. */
static inline uint64_t sl_bits_peek(const struct sl_bit_reader *reader)
{
    uint64_t word;
    memcpy(&word, reader->bytes + reader->at / 8, sizeof word);
    return word >> reader->at % 8;
}

/* How many ones the word begins with, SL_BITS_MOST at most. */
static inline unsigned sl_bits_ones(uint64_t word)
{
    return (unsigned)__builtin_ctzll(~word | UINT64_C(1) << SL_BITS_MOST);
}
#endif
