/* Threshold encoding: one rounding at a time, so equal bits. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "kernels/threshold/threshold.h"
#include "tests/check.h"
#include "tests/check_flat.h"

static const int64_t lengths[] = {1, 7, 16, 1009, 65535, 65536, 65537, 131072 + 13, 200003};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static size_t chunks_of(const struct check_case *c)
{
    return (size_t)sl_threshold_chunks(check_length_of(c));
}

/* ---- encode ---- */

/* Values around tau that hurt. */
static float edge(struct check_case *c, float tau)
{
    const float edges[] = {tau,
                           nextafterf(tau, 0.0f),
                           nextafterf(tau, 1.0f),
                           0.0f,
                           FLT_TRUE_MIN,
                           FLT_MIN,
                           tau / 2.0f,
                           tau * 3.0f,
                           INFINITY,
                           NAN,
                           FLT_MAX,
                           tau * 0.75f};
    const uint32_t draw = check_random(c);
    const float value = edges[(draw >> 1) % (sizeof edges / sizeof *edges)];
    return draw & 1 ? -value : value;
}

enum content { UNIFORM, EDGES, EDGES_AND_ZERO };

/* What r, u and tau are. Of sums of two uniform numbers 1/16 reach 1.5, and one in 10,000 reaches 1.98. */
static const struct encoding {
    const char *name;
    enum content r, u;
    float tau;
    bool alone; /* no u */
} encodings[] = {
    {"mixed", UNIFORM, UNIFORM, 1.5f, false}, {"sparse", UNIFORM, UNIFORM, 1.98f, false},
    {"none", UNIFORM, UNIFORM, 3.0f, false},  {"all", UNIFORM, UNIFORM, 1e-30f, false},
    {"edges", EDGES, EDGES, 1e-3f, false},    {"exact", EDGES_AND_ZERO, EDGES_AND_ZERO, 1e-3f, false},
    {"tiny", EDGES, EDGES, 5e-42f, false},    {"huge", EDGES, EDGES_AND_ZERO, FLT_MAX, false},
    {"alone", UNIFORM, UNIFORM, 0.75f, true}, {"alone_edges", EDGES, EDGES, 1e-3f, true},
};
enum { ENCODINGS = sizeof encodings / sizeof *encodings, ENCODE_VARIANTS = 2 * ENCODINGS };

/* To be measured. */
static const double densities[] = {0.0, 1e-4, 1e-3, 1e-2, 1e-1, 0.5, 1.0};
static const int64_t sizes[] = {CHECK_WEIGHTS, 1 << 26};
enum {
    DENSITIES = sizeof densities / sizeof *densities,
    ENCODES = LENGTHS * ENCODE_VARIANTS,
    MEASURED_ENCODES = DENSITIES * sizeof sizes / sizeof *sizes
};

static const void *encode_shape(size_t index, char *name, size_t size)
{
    static struct sl_threshold s;
    if (index < ENCODES) {
        s.n = lengths[index / ENCODE_VARIANTS];
        snprintf(name, size, "n%lld%s%s", (long long)s.n, encodings[index % ENCODE_VARIANTS / 2].name,
                 index % 2 ? "_dense" : "");
    } else {
        s.n = sizes[(index - ENCODES) / DENSITIES];
        snprintf(name, size, "n%lld_%g", (long long)s.n, densities[(index - ENCODES) % DENSITIES]);
    }
    return &s;
}

static float draw(struct check_case *c, enum content content, float tau)
{
    if (content == UNIFORM)
        return check_draw(c, CHECK_UNIFORM);
    return content == EDGES || check_random(c) % 2 ? edge(c, tau) : 0.0f;
}

/* The buffers, r and u still to be filled. */
static struct sl_threshold_encode *take_encode(struct check_case *c, bool alone)
{
    struct sl_threshold_encode *t = (void *)c->args.bytes;
    const size_t n = (size_t)check_length_of(c), bytes = n * sizeof(float);
    t->r = check_output(c, "r", n, check_exact);
    check_moves(c, t->r, bytes, bytes);
    t->u = alone ? NULL : check_input_bytes(c, "u", bytes, sizeof(float));
    t->entries = (void *)check_output(c, "entries", n, check_exact);
    t->counts = (void *)check_work_double(c, "counts", chunks_of(c));
    return t;
}

/* Sends the same elements over and over: those with +-tau to add; the others have nothing to add. */
static void encode_measured(struct check_case *c)
{
    const double density = densities[(c->index - ENCODES) % DENSITIES];
    struct sl_threshold_encode *t = take_encode(c, false);
    float *u = (float *)t->u;
    size_t sent = 0;
    t->tau = 1.0f;
    t->dense = density >= SL_THRESHOLD_DENSE;
    for (int64_t i = 0; i < check_length_of(c); i++) {
        const uint32_t word = check_random(c);
        const bool sends = (double)sl_uniform(word) < density;
        const float sign = word & 1 ? -1.0f : 1.0f;
        u[i] = sends ? sign : 0.0f;
        t->r[i] = sends ? 0.0f : sign * 0.5f;
        sent += sends;
    }
    check_freeze(c, u);
    check_moves(c, t->entries, 0, sent * sizeof *t->entries);
}

static void encode(struct check_case *c)
{
    if (c->index >= ENCODES) {
        encode_measured(c);
        return;
    }
    const struct encoding *e = &encodings[c->index % ENCODE_VARIANTS / 2];
    struct sl_threshold_encode *t = take_encode(c, e->alone);
    float *u = (float *)t->u;
    t->tau = e->tau;
    t->dense = c->index % 2;
    for (int64_t i = 0; i < check_length_of(c); i++) {
        t->r[i] = draw(c, e->r, e->tau);
        if (u)
            u[i] = draw(c, e->u, e->tau);
    }
    if (u)
        check_freeze(c, u);
}

/* What lies behind a chunk's entries is nobody's. */
static void clear_rest(struct check_case *c)
{
    uint32_t *entries = check_find(c, "entries");
    const int64_t *counts = check_find(c, "counts"), n = check_length_of(c);
    for (int64_t i = 0; i < n; i++)
        if (i % SL_THRESHOLD_CHUNK >= counts[i / SL_THRESHOLD_CHUNK])
            entries[i] = 0;
}

/* ---- decode ---- */

enum { PARTS = 5 };

static const struct decoding {
    const char *name;
    int32_t count;
    float scale;
    float tau[PARTS];
    uint32_t every; /* one element in so many is sent */
} decodings[] = {
    {"none", 0, 1.0f, {0.0f}, 1},
    {"one", 1, 1.0f, {1e-3f}, 3},
    {"alike", 4, 0.25f, {1e-3f, 1e-3f, 1e-3f, 1e-3f}, 2},
    {"mixed", 5, 0.2f, {1e-3f, 1e-3f, 3e-3f, 1e-3f, 1e-3f}, 2},
    {"all", 3, 1.0f, {0.3f, 0.2f, 0.2f}, 1},
    {"huge", 3, -1.0f, {FLT_MAX, FLT_MAX, FLT_TRUE_MIN}, 2},
    {"four", 4, 0.25f, {1e-3f, 1.1e-3f, 1e-3f, 0.9e-3f}, 1000},
    {"four", 4, 0.25f, {1e-3f, 1.1e-3f, 1e-3f, 0.9e-3f}, 10},
};
enum {
    MEASURED_DECODES = 2,
    DECODINGS = sizeof decodings / sizeof *decodings - MEASURED_DECODES,
    DECODES = LENGTHS * DECODINGS
};

static const struct decoding *decoding_of(size_t index)
{
    return &decodings[index < DECODES ? index % DECODINGS : index - DECODES + DECODINGS];
}

static const void *decode_shape(size_t index, char *name, size_t size)
{
    static struct sl_threshold s;
    s.n = index < DECODES ? lengths[index / DECODINGS] : CHECK_WEIGHTS;
    snprintf(name, size, "n%lld%s_1in%u", (long long)s.n, decoding_of(index)->name, decoding_of(index)->every);
    return &s;
}

/* What a rank sent: one element in `every`, each with a sign. */
static struct sl_threshold_part take_part(struct check_case *c, uint32_t every, float tau)
{
    const int64_t n = check_length_of(c);
    int64_t *offsets = check_input_bytes(c, "offsets", (chunks_of(c) + 1) * sizeof *offsets, sizeof *offsets);
    uint32_t *entries = check_input_bytes(c, "sent", (size_t)n * sizeof *entries, sizeof *entries);
    int64_t count = 0;
    for (int64_t k = 0; k < n; k++) {
        if (k % SL_THRESHOLD_CHUNK == 0)
            offsets[k / SL_THRESHOLD_CHUNK] = count;
        const uint32_t word = check_random(c);
        if (word % every == 0)
            entries[count++] = (uint32_t)k | (word & SL_THRESHOLD_NEGATIVE);
    }
    offsets[chunks_of(c)] = count;
    check_freeze(c, offsets);
    check_freeze(c, entries);
    check_moves(c, entries, (size_t)count * sizeof *entries, 0);
    return (struct sl_threshold_part){entries, offsets, tau};
}

static void decode(struct check_case *c)
{
    const struct decoding *d = decoding_of(c->index);
    struct sl_threshold_decode *t = (void *)c->args.bytes;
    struct sl_threshold_part *parts =
        check_input_bytes(c, "parts", PARTS * sizeof *parts, _Alignof(struct sl_threshold_part));
    for (int32_t p = 0; p < d->count; p++)
        parts[p] = take_part(c, d->every, d->tau[p]);
    check_buffer_at(c, parts)->holds_pointers = true;
    check_freeze(c, parts);
    *t = (struct sl_threshold_decode){.parts = parts, .count = d->count, .scale = d->scale};
    t->sum = check_output(c, "sum", (size_t)check_length_of(c), check_exact);
}

/* ---- sample and clip ---- */

enum { PLAIN_VARIANTS = 2, PLAIN = LENGTHS * PLAIN_VARIANTS };

static const void *plain_shape(size_t index, char *name, size_t size)
{
    static struct sl_threshold s;
    s.n = index < PLAIN ? lengths[index / PLAIN_VARIANTS] : CHECK_WEIGHTS;
    snprintf(name, size, "n%lld_%zu", (long long)s.n, index % PLAIN_VARIANTS);
    return &s;
}

static void sample(struct check_case *c)
{
    const size_t n = (size_t)check_length_of(c), m = (size_t)sl_threshold_samples(check_length_of(c));
    struct sl_threshold_sample *t = (void *)c->args.bytes;
    t->r = check_input(c, "r", n, CHECK_UNIFORM);
    check_moves(c, t->r, m * sizeof *t->r, 0);
    if (c->variant % PLAIN_VARIANTS == 0) {
        t->u = check_input(c, "u", n, CHECK_UNIFORM);
        check_moves(c, t->u, m * sizeof *t->u, 0);
    }
    t->sample = check_output(c, "sample", m, check_exact);
}

static void clip(struct check_case *c)
{
    const bool edges = c->variant % PLAIN_VARIANTS;
    struct sl_threshold_clip *t = (void *)c->args.bytes;
    t->limit = c->measured ? 0.99f : 5e-3f;
    t->r = check_inout(c, "r", check_length_of(c), 1, 1, CHECK_UNIFORM, check_exact);
    for (int64_t i = 0; edges && i < check_length_of(c); i++)
        t->r[i] = edge(c, t->limit);
    t->lost = check_work_double(c, "lost", chunks_of(c));
}

static const struct check_op ops[] = {
    {SL_OP_threshold_encode, ENCODES, MEASURED_ENCODES, encode_shape, encode, clear_rest, CHECK_ALL_EQUAL},
    {SL_OP_threshold_decode, DECODES, MEASURED_DECODES, decode_shape, decode, NULL, CHECK_ALL_EQUAL},
    {SL_OP_threshold_sample, PLAIN, 1, plain_shape, sample, NULL, CHECK_ALL_EQUAL},
    {SL_OP_threshold_clip, PLAIN, 1, plain_shape, clip, NULL, CHECK_ALL_EQUAL},
};
const struct check_area check_threshold = {ops, sizeof ops / sizeof *ops};
