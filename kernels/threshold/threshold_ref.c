/* Reference of threshold encoding. */
#include <math.h>
#include <string.h>

#include "kernels/contract.h"
#include "kernels/kernels.h"
#include "kernels/threshold/chunks.h"
#include "kernels/threshold/threshold.h"

static void encode_chunk(const struct sl_threshold *s, const struct sl_threshold_encode *t, int64_t chunk)
{
    const int64_t begin = sl_threshold_begin(chunk), end = sl_threshold_end(chunk, s->n);
    int64_t count = 0;
    for (int64_t k = begin; k < end; k++) {
        const float r = t->u ? t->r[k] + t->u[k] : t->r[k];
        const bool sent = fabsf(r) >= t->tau;
        t->r[k] = sent ? r - copysignf(t->tau, r) : r;
        if (sent)
            t->entries[begin + count++] = (uint32_t)k | (signbit(r) ? SL_THRESHOLD_NEGATIVE : 0);
    }
    t->counts[chunk] = count;
}

static void encode(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    const struct sl_threshold_encode *t = args;
    assert(sl_work_fits(work, sl_threshold_need, s) && t->tau > 0.0f);
    for (int64_t chunk = work->begin; chunk < work->end; chunk++)
        encode_chunk(s, t, chunk);
}

/* ---- decode ---- */

/* The scratch counts the quanta of a chunk's elements; it is all zero between one tau and the next. */
static bool decode_need(const void *shape, struct sl_need *need)
{
    need->scratch = SL_THRESHOLD_CHUNK * sizeof(int32_t);
    return sl_threshold_need(shape, need);
}

static int64_t element_of(uint32_t entry)
{
    return entry & ~SL_THRESHOLD_NEGATIVE;
}

static int32_t sign_of(uint32_t entry)
{
    return entry & SL_THRESHOLD_NEGATIVE ? -1 : 1;
}

/* One part alone with its tau. */
static void add_part(const struct sl_threshold_part *part, int64_t chunk, float *sum)
{
    for (int64_t i = part->offsets[chunk]; i < part->offsets[chunk + 1]; i++)
        sum[element_of(part->entries[i])] += (float)sign_of(part->entries[i]) * part->tau;
}

/* Of `count` parts with one tau: the first visit of an element adds what all of them sent. */
static void add_parts(const struct sl_threshold_part *parts, int32_t count, int64_t chunk, int32_t *quanta, float *sum)
{
    const int64_t begin = sl_threshold_begin(chunk);
    for (int32_t p = 0; p < count; p++)
        for (int64_t i = parts[p].offsets[chunk]; i < parts[p].offsets[chunk + 1]; i++)
            quanta[element_of(parts[p].entries[i]) - begin] += sign_of(parts[p].entries[i]);
    for (int32_t p = 0; p < count; p++)
        for (int64_t i = parts[p].offsets[chunk]; i < parts[p].offsets[chunk + 1]; i++) {
            const int64_t k = element_of(parts[p].entries[i]);
            sum[k] += (float)quanta[k - begin] * parts[p].tau;
            quanta[k - begin] = 0;
        }
}

static int32_t parts_alike(const struct sl_threshold_decode *t, int32_t first)
{
    int32_t count = 1;
    while (first + count < t->count && t->parts[first + count].tau == t->parts[first].tau)
        count++;
    return count;
}

/* In blocks of a fixed length, of which a compiler makes vectors: where little was sent this is most of decoding. */
static void scale_sum(float *sum, int64_t n, float scale)
{
    enum { BLOCK = 16 };
    int64_t k = 0;
    for (; k + BLOCK <= n; k += BLOCK)
        for (int i = 0; i < BLOCK; i++)
            sum[k + i] *= scale;
    for (; k < n; k++)
        sum[k] *= scale;
}

static void decode_chunk(const struct sl_threshold *s, const struct sl_threshold_decode *t, int64_t chunk,
                         int32_t *quanta)
{
    const int64_t begin = sl_threshold_begin(chunk), end = sl_threshold_end(chunk, s->n);
    memset(t->sum + begin, 0, (size_t)(end - begin) * sizeof *t->sum);
    for (int32_t p = 0, alike; p < t->count; p += alike) {
        alike = parts_alike(t, p);
        if (alike == 1)
            add_part(&t->parts[p], chunk, t->sum);
        else
            add_parts(&t->parts[p], alike, chunk, quanta, t->sum);
    }
    if (t->scale != 1.0f)
        scale_sum(t->sum + begin, end - begin, t->scale);
}

static void decode(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    assert(sl_work_fits(work, decode_need, s));
    if (work->begin < work->end)
        memset(work->scratch, 0, SL_THRESHOLD_CHUNK * sizeof(int32_t));
    for (int64_t chunk = work->begin; chunk < work->end; chunk++)
        decode_chunk(s, args, chunk, work->scratch);
}

/* ---- sample ---- */

enum { SAMPLE_GROUP = 1024 };

static bool sample_need(const void *shape, struct sl_need *need)
{
    const bool takes = sl_threshold_need(shape, need);
    need->units = (sl_threshold_samples(((const struct sl_threshold *)shape)->n) + SAMPLE_GROUP - 1) / SAMPLE_GROUP;
    return takes;
}

static void sample(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    const struct sl_threshold_sample *t = args;
    const int64_t m = sl_threshold_samples(s->n);
    assert(sl_work_fits(work, sample_need, s));
    for (int64_t i = work->begin * SAMPLE_GROUP; i < m && i < work->end * SAMPLE_GROUP; i++) {
        const int64_t k = i * s->n / m;
        t->sample[i] = fabsf(t->u ? t->r[k] + t->u[k] : t->r[k]);
    }
}

/* ---- clip ---- */

static double clip_chunk(float *r, int64_t n, float limit)
{
    double lost = 0.0;
    for (int64_t i = 0; i < n; i++)
        if (fabsf(r[i]) > limit) {
            lost += (double)fabsf(r[i]) - (double)limit;
            r[i] = copysignf(limit, r[i]);
        }
    return lost;
}

static void clip(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_threshold *s = shape;
    const struct sl_threshold_clip *t = args;
    assert(sl_work_fits(work, sl_threshold_need, s) && t->limit >= 0.0f);
    for (int64_t chunk = work->begin; chunk < work->end; chunk++) {
        const int64_t begin = sl_threshold_begin(chunk);
        t->lost[chunk] = clip_chunk(t->r + begin, sl_threshold_end(chunk, s->n) - begin, t->limit);
    }
}

const struct sl_kernel sl_threshold_encode_ref = {.need = sl_threshold_need, .run = encode};
const struct sl_kernel sl_threshold_decode_ref = {.need = decode_need, .run = decode};
const struct sl_kernel sl_threshold_sample_ref = {.need = sample_need, .run = sample};
const struct sl_kernel sl_threshold_clip_ref = {.need = sl_threshold_need, .run = clip};
