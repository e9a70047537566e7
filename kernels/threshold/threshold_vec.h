/* Threshold encoding, once for all vector lengths: one pass reads u and r, and writes r and the entries.
 *
 * Entries are compressed in a register and stored as a whole vector, whose lanes behind the entries the next store
 * overwrites. They gather in the scratch, block by block, and go out as one copy of whole cache lines: where all is
 * sent that is a tenth faster than storing each vector to its place. */
#include <string.h>

#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/threshold/chunks.h"
#include "kernels/threshold/threshold.h"

/* GROUP: vectors looked at together. Where little is sent, one branch for all of them nearly always goes the same way;
 * where much is, it would be a guess, and there is none. BLOCK: elements whose entries stay in the first-level cache
 * beside r and u. AHEAD: how many elements ahead r and u are prefetched. What is computed fills the processor's window
 * so well that it would not see the next page of memory in time. */
enum { GROUP = 4, BLOCK = 2048, AHEAD = 512 };

static bool encode_need(const void *shape, struct sl_need *need)
{
    need->scratch = (BLOCK + VL) * sizeof(uint32_t);
    return sl_threshold_need(shape, need);
}

struct encoder {
    float *r;
    const float *u;
    vf tau;
};

/* r + u of VL elements from k on, of which n are there. The others are 0, which is not sent. */
static inline vf sum_some(const struct encoder *e, int64_t k, int n)
{
    const vf r = v_load_some(e->r + k, n);
    __builtin_prefetch(e->r + k + AHEAD, 1);
    if (!e->u)
        return r;
    __builtin_prefetch(e->u + k + AHEAD);
    return v_add(r, v_load_some(e->u + k, n));
}

/* Returns where the next entry goes. */
static inline uint32_t *send_some(const struct encoder *e, int64_t k, int n, vf sum, vmask sent, uint32_t *to)
{
    const vf sign = v_sign(sum);
    v_store_some(e->r + k, v_sub(sum, v_keep(sent, v_signed(e->tau, sign))), n);
    vi_store(to, vi_compress(vi_or(vi_count((uint32_t)k), v_bits(sign)), sent));
    return to + v_count(sent);
}

/* GROUP * VL elements. */
static inline uint32_t *encode_group(const struct encoder *e, int64_t k, bool dense, uint32_t *to)
{
    vf sum[GROUP];
    vmask sent[GROUP];
#pragma GCC unroll 4
    for (int v = 0; v < GROUP; v++) {
        sum[v] = sum_some(e, k + v * VL, VL);
        sent[v] = v_ge(v_abs(sum[v]), e->tau);
    }
    if (dense || v_any(v_either(v_either(sent[0], sent[1]), v_either(sent[2], sent[3])))) {
#pragma GCC unroll 4
        for (int v = 0; v < GROUP; v++)
            to = send_some(e, k + v * VL, VL, sum[v], sent[v], to);
    } else {
#pragma GCC unroll 4
        for (int v = 0; v < GROUP; v++)
            v_store(e->r + k + v * VL, sum[v]);
    }
    return to;
}

/* Elements [k, end), at most BLOCK. Returns how many are sent. Inlined, so that `dense` costs nothing. */
static inline __attribute__((always_inline)) int64_t encode_block(const struct encoder *e, int64_t k, int64_t end,
                                                                  bool dense, uint32_t *entries)
{
    uint32_t *to = entries;
    for (; k + GROUP * VL <= end; k += GROUP * VL)
        to = encode_group(e, k, dense, to);
    for (; k < end; k += VL) {
        const int n = end - k < VL ? (int)(end - k) : VL;
        const vf sum = sum_some(e, k, n);
        to = send_some(e, k, n, sum, v_ge(v_abs(sum), e->tau), to);
    }
    return to - entries;
}

static void encode(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    const struct sl_threshold_encode *t = args;
    const struct encoder e = {t->r, t->u, v_set1(t->tau)};
    assert(sl_work_fits(work, encode_need, s) && t->tau > 0.0f);
    for (int64_t chunk = work->begin; chunk < work->end; chunk++) {
        const int64_t end = sl_threshold_end(chunk, s->n);
        uint32_t *const first = t->entries + sl_threshold_begin(chunk), *to = first;
        for (int64_t k = sl_threshold_begin(chunk); k < end; k += BLOCK) {
            const int64_t stop = k + BLOCK < end ? k + BLOCK : end;
            const int64_t count = t->dense ? encode_block(&e, k, stop, true, work->scratch)
                                           : encode_block(&e, k, stop, false, work->scratch);
            memcpy(to, work->scratch, (size_t)count * sizeof *to);
            to += count;
        }
        t->counts[chunk] = to - first;
    }
}

const struct sl_kernel V_NAME(sl_threshold_encode) = {.need = encode_need, .run = encode};
