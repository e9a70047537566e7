/* What the writer and the reader of messages share. */
#ifndef SL_COMM_MESSAGE_INTERNAL_H
#define SL_COMM_MESSAGE_INTERNAL_H

#include <string.h>

#include "comm/bits.h"
#include "comm/message.h"
#include "kernels/threshold/threshold.h"

#define SL_MESSAGE_MAGIC "SLTQ"

/* The highest Rice parameter: gaps are below 2^31. */
enum { SL_MESSAGE_RICE_MOST = 30 };

/* As it lies in the bytes: every field stands at a multiple of its size, and nothing between them. */
struct sl_message_header {
    char magic[4];
    uint16_t version, form;
    uint32_t rank, rice;
    uint64_t step, n, count, payload;
    float tau;
    uint32_t zero;
};

static inline size_t sl_message_bitmap_bytes(uint64_t n)
{
    return (size_t)((n + 15) / 16 * 4);
}

static inline size_t sl_message_signs_bytes(uint64_t n)
{
    return (size_t)((n + 7) / 8);
}
#endif
