/* Threshold encoding, once for all vector lengths: one pass reads u and r, and writes r and the entries. Entries are
 * compressed in a register and stored as a whole vector; the next one overwrites what is too much. */
#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/threshold/chunks.h"
#include "kernels/threshold/threshold.h"

/* Vectors looked at together. Where little is sent, one branch for all of them is nearly always taken the same way;
 * where much is, a branch would be a guess, and there is none. */
enum { GROUP = 4 };

/* r + u of VL elements from k on, of which n are there. */
static inline vf sum_some(const struct sl_threshold_encode *t, int64_t k, int n)
{
    const vf r = v_load_some(t->r + k, n);
    return t->u ? v_add(r, v_load_some(t->u + k, n)) : r;
}

static inline vf less_quantum(vf sum, vf tau, vmask sent)
{
    return v_sub(sum, v_keep(sent, v_signed(tau, v_sign(sum))));
}

static inline vi entries_of(vf sum, int64_t k, vmask sent)
{
    return vi_compress(vi_or(vi_count((uint32_t)k), v_bits(v_sign(sum))), sent);
}

/* VL elements, all there. Returns where the next entry goes. */
static inline uint32_t *send(const struct sl_threshold_encode *t, int64_t k, vf sum, vf tau, vmask sent, uint32_t *to)
{
    v_store(t->r + k, less_quantum(sum, tau, sent));
    vi_store(to, entries_of(sum, k, sent));
    return to + v_count(sent);
}

/* n < VL elements: nothing may be written behind the last chunk's room. */
static inline uint32_t *send_head(const struct sl_threshold_encode *t, int64_t k, int n, vf tau, uint32_t *to)
{
    const vf sum = sum_some(t, k, n);
    const vmask sent = v_ge(v_abs(sum), tau); /* no lane that is not there: it is 0 */
    v_store_head(t->r + k, less_quantum(sum, tau, sent), n);
    vi_store_head(to, entries_of(sum, k, sent), v_count(sent));
    return to + v_count(sent);
}

/* GROUP * VL elements. */
static inline uint32_t *send_group(const struct sl_threshold_encode *t, int64_t k, vf tau, bool dense, uint32_t *to)
{
    vf sum[GROUP];
    vmask sent[GROUP];
#pragma GCC unroll 4
    for (int v = 0; v < GROUP; v++) {
        sum[v] = sum_some(t, k + v * VL, VL);
        sent[v] = v_ge(v_abs(sum[v]), tau);
    }
    if (dense || v_any(v_either(v_either(sent[0], sent[1]), v_either(sent[2], sent[3])))) {
#pragma GCC unroll 4
        for (int v = 0; v < GROUP; v++)
            to = send(t, k + v * VL, sum[v], tau, sent[v], to);
    } else {
#pragma GCC unroll 4
        for (int v = 0; v < GROUP; v++)
            v_store(t->r + k + v * VL, sum[v]);
    }
    return to;
}

static inline void encode_chunk(const struct sl_threshold_encode *t, int64_t chunk, int64_t end, bool dense)
{
    const vf tau = v_set1(t->tau);
    int64_t k = sl_threshold_begin(chunk);
    uint32_t *to = t->entries + k;
    for (; k + GROUP * VL <= end; k += GROUP * VL)
        to = send_group(t, k, tau, dense, to);
    for (; k < end; k += VL) {
        if (k + VL <= end) {
            const vf sum = sum_some(t, k, VL);
            to = send(t, k, sum, tau, v_ge(v_abs(sum), tau), to);
        } else {
            to = send_head(t, k, (int)(end - k), tau, to);
        }
    }
    t->counts[chunk] = to - (t->entries + sl_threshold_begin(chunk));
}

static void encode(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    const struct sl_threshold_encode t = *(const struct sl_threshold_encode *)args;
    assert(sl_work_fits(work, sl_threshold_need, s) && t.tau > 0.0f);
    for (int64_t chunk = work->begin; chunk < work->end; chunk++) {
        const int64_t end = sl_threshold_end(chunk, s->n);
        if (t.dense)
            encode_chunk(&t, chunk, end, true);
        else
            encode_chunk(&t, chunk, end, false);
    }
}

const struct sl_kernel V_NAME(sl_threshold_encode) = {.need = sl_threshold_need, .run = encode};
