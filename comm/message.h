/* One rank's quanta of one step, as bytes: a header, the entries in the smallest of four forms, and a seal.
 *
 * Everything is little-endian. The header, 56 bytes:
 *   magic "SLTQ", version u16, form u16, rank u32, Rice parameter u32 (0 in other forms), step u64, n u64, count u64,
 *   payload bytes u64, tau f32, zero u32
 * Forms, of which the writer takes the smallest (the first of equal ones):
 *   INDEX   count words of 4 bytes: index, sign in the highest bit; ascending
 *   RICE    the gaps between indices in Golomb-Rice code with parameter b <= 30. A gap is index - previous - 1, or the
 *           first index; an entry is gap >> b ones and a zero, the b low bits of the gap, and the sign. Bits go from
 *           the lowest of each byte up; the last byte is filled up with zeros
 *   BITMAP  n/16 words rounded up, DL4J's layout: bit j sends element 16w + j, bit 16 + j makes it negative
 *   SIGNS   where all n are sent: one bit each, set for negative; the last byte is filled up with zeros
 * The seal, 8 bytes, is the XXH3-64 of all before it.
 *
 * INDEX costs 32 bits an entry and BITMAP 2 an element. RICE is never longer than BITMAP: with b = 0 it takes one bit
 * for each element up to the last that is sent and one for each sign. It is hardly ever longer than INDEX: two bits and
 * log2 n are enough for an entry. So where the bytes matter most messages are RICE, and those that send nothing INDEX;
 * a writer that is asked to be `plain` leaves RICE out, for links so quick that its time counts. */
#ifndef SL_COMM_MESSAGE_H
#define SL_COMM_MESSAGE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_message_form { SL_MESSAGE_INDEX, SL_MESSAGE_RICE, SL_MESSAGE_BITMAP, SL_MESSAGE_SIGNS, SL_MESSAGE_FORMS };

enum { SL_MESSAGE_HEADER = 56, SL_MESSAGE_SEAL = 8, SL_MESSAGE_VERSION = 1 };

struct sl_message {
    uint64_t step;
    uint32_t rank;
    int64_t n, count; /* 1 <= n < 2^31 */
    float tau;        /* finite, > 0 */
    enum sl_message_form form;
    bool plain; /* asked of the writer: no RICE */
};

/* "index", "rice", "bitmap", "signs" */
const char *sl_message_form_name(enum sl_message_form form);

/* Bytes that no message over n elements exceeds. */
size_t sl_message_most_bytes(int64_t n);

/* Writes the entries of threshold_encode (counts[chunks], chunk c's at entries + c * SL_THRESHOLD_CHUNK) to `to`, which
 * has sl_message_most_bytes(message->n) of room; sets message->count and form, and *bytes. step, rank, n, tau and plain
 * come from the caller. The same entries make the same bytes. */
void sl_message_write(struct sl_message *message, const uint32_t *entries, const int64_t *counts, void *to,
                      size_t *bytes);

/* Reads one and believes nothing: lengths, form, order, range, padding and the seal are checked. `message` says what is
 * expected (step, rank, n) and gets the rest; entries[n] and offsets[chunks + 1] are filled as threshold_decode wants
 * them. SL_IO names what is wrong and the rank it came from; nothing outside the given bytes is read, and what was
 * filled until then means nothing. */
int sl_message_read(const void *bytes, size_t size, struct sl_message *message, uint32_t *entries, int64_t *offsets);

#ifdef __cplusplus
}
#endif
#endif
