/* One rank's quanta of one step, as bytes: a sealed header and the entries in the smallest of four forms.
 *
 * Everything is little-endian. The header, 64 bytes:
 *   magic "SLTQ", version u16, form u16, rank u32, Rice parameter u32, step u64, n u64, count u64, payload bytes u64,
 *   tau f32, zero u32, seal u64 (XXH3-64 of all the bytes of the message, the seal's own as zero)
 * Forms, of which the writer takes the smallest (the first of equal ones):
 *   INDEX   count words of 4 bytes: index, sign in the highest bit; ascending
 *   RICE    for each entry the gap to the one before (index - previous - 1; the first: index) in Golomb-Rice code:
 * quotient in unary (ones, then a zero), b low bits, then the sign bit; bits from the lowest of each byte up; zero
 * padding BITMAP  n/16 words rounded up, DL4J's layout: bit j sends element 16w + j, bit 16 + j makes it negative SIGNS
 * where all n are sent: one bit each, set for negative A reader believes nothing: lengths, order, range, padding and
 * the seal are checked. */
#ifndef SL_COMM_MESSAGE_H
#define SL_COMM_MESSAGE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_message_form { SL_MESSAGE_INDEX, SL_MESSAGE_RICE, SL_MESSAGE_BITMAP, SL_MESSAGE_SIGNS, SL_MESSAGE_FORMS };

enum { SL_MESSAGE_HEADER = 64, SL_MESSAGE_VERSION = 1 };

struct sl_message {
    uint64_t step;
    uint32_t rank;
    int64_t n, count;
    float tau;
    enum sl_message_form form;
};

/* "index", "rice", "bitmap", "signs" */
const char *sl_message_form_name(enum sl_message_form form);

/* Bytes that no message over n elements exceeds. */
size_t sl_message_most_bytes(int64_t n);

/* Writes the entries of threshold_encode (counts[chunks], chunk c's at entries + c * SL_THRESHOLD_CHUNK) to `to`, which
 * has sl_message_most_bytes(message->n) of room; sets message->count and form, and *bytes. step, rank, n and tau come
 * from the caller. */
void sl_message_write(struct sl_message *message, const uint32_t *entries, const int64_t *counts, void *to,
                      size_t *bytes);

/* Reads one: `message` says what is expected (step, rank, n) and gets the rest; entries[n] and offsets[chunks + 1] are
 * filled as threshold_decode wants them. SL_IO names what is wrong and the rank it came from; nothing outside the given
 * bytes is read. */
int sl_message_read(const void *bytes, size_t size, struct sl_message *message, uint32_t *entries, int64_t *offsets);

#ifdef __cplusplus
}
#endif
#endif
