/* The checker of convolutions: NaN in every output and scratch, a page nobody may touch behind every buffer, poison
 * in front, one slice against seven, aligned against one float off. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernels/norm/norm.h"
#include "tests/check_conv.h"

#define CASE(n_, h_, w_, c_, k_, kh_, kw_, sh_, sw_, pt_, pl_, oh_, ow_, xs_, ys_)                                     \
    {                                                                                                                  \
#n_ "x" #h_ "x" #w_ "x" #c_ "(" #xs_ ") to " #oh_ "x" #ow_ "x" #k_ "(" #ys_ "), kernel " #kh_ "x" #kw_         \
            ", stride " #sh_ "x" #sw_ ", padding " #pt_ "," #pl_,                                                      \
        {                                                                                                              \
            n_, h_, w_, c_, k_, kh_, kw_, sh_, sw_, pt_, pl_, oh_, ow_, xs_, ys_                                       \
        }                                                                                                              \
    }

/* One case a line. */
/* clang-format off */
const struct check_conv_case check_conv_cases[] = {
    /*    n   h   w    c    k kh kw sh sw pt pl  oh  ow   xs   ys */
    CASE( 1,  1,  1,   1,   1, 1, 1, 1, 1, 0, 0,  1,  1,   1,   1),
    CASE( 1,  1,  1,   1,   1, 3, 3, 1, 1, 1, 1,  1,  1,  16,  16),
    CASE( 2,  5,  7,   3,  15, 3, 3, 1, 1, 1, 1,  5,  7,   3,  16),
    CASE( 3,  9, 11,   3,  32, 3, 3, 1, 1, 1, 1,  9, 11,   3,  32),
    CASE( 2,  8,  8,  15,  16, 2, 2, 1, 1, 0, 0,  8,  8,  16,  16),
    CASE( 2,  8,  8,  16,  17, 2, 2, 1, 1, 0, 0,  8,  8,  16,  32),
    CASE( 1,  6,  5,  17,  33, 5, 5, 1, 1, 2, 2,  6,  5,  32,  48),
    CASE( 1, 13, 11,  33,  13, 7, 7, 1, 1, 3, 3, 13, 11,  48,  16),
    CASE( 2,  4, 19,   7,  31, 1, 7, 1, 1, 0, 3,  4, 19,  16,  32),
    CASE( 2, 19,  4,   5,  97, 7, 1, 1, 1, 3, 0, 19,  4,  16, 112),
    CASE( 2, 12, 13,  19,  23, 3, 3, 2, 2, 1, 1,  6,  7,  32,  32),
    CASE( 1, 14, 14,   8,  70, 2, 2, 3, 3, 0, 0,  5,  5,  16,  80),
    CASE( 1, 16, 17,   3,  11, 7, 7, 2, 2, 3, 3,  8,  9,   3,  16),
    CASE( 1,  9, 10,   4,   5, 3, 5, 2, 3, 1, 2,  5,  4,   4,   5),
    CASE( 1,  2,  3,   5,   6, 2, 2, 1, 1, 4, 5,  9, 11,  16,  16),   /* padding larger than the kernel */
    CASE( 1,  5,  5,   9,  20, 5, 5, 1, 1, 0, 0,  1,  1,  16,  32),
    CASE( 3,  7,  6,   6,   9, 2, 3, 1, 1, 0, 0,  6,  4,   6,   9),   /* no padding: read in place */
    CASE( 3,  7,  6,   6,   9, 2, 3, 1, 1, 0, 0,  6,  4,  16,  16),
    CASE( 2,  9,  9,  18,  40, 1, 1, 2, 2, 0, 0,  5,  5,  32,  48),   /* 1x1, strided */
    CASE( 2,  3,  3,  16,  16, 3, 3, 1, 1, 1, 1,  3,  3,  80,  90),   /* far padding lanes */
    CASE(13,  2,  2,  37,  64, 2, 2, 1, 1, 0, 0,  2,  2,  48,  64),   /* several images a unit */
    CASE(67,  4,  4,   3,   5, 3, 3, 1, 1, 1, 1,  4,  4,   3,  16),
    CASE( 1, 37,  1,  53, 129, 1, 1, 1, 1, 0, 0, 37,  1,  64, 144),   /* dense */
    CASE( 1,  1,  1, 700,  10, 1, 1, 1, 1, 0, 0,  1,  1, 704,  16),
    CASE( 1,  5,  6, 300,  18, 3, 3, 1, 1, 1, 1,  5,  6, 304,  32),   /* weights cut within a kernel row */
    CASE( 1, 64, 64,   3,  32, 3, 3, 1, 1, 1, 1, 64, 64,   3,  32),   /* the network, some of it on smaller images */
    CASE( 1, 32, 32,  32,  64, 3, 3, 1, 1, 1, 1, 32, 32,  32,  64),
    CASE( 1, 16, 32,  64, 128, 2, 2, 1, 1, 0, 0, 16, 32,  64, 128),
    CASE( 1,  8, 32, 128, 256, 2, 2, 1, 1, 0, 0,  8, 32, 128, 256),
    CASE( 1,  5, 16, 256, 256, 2, 2, 1, 1, 0, 0,  5, 16, 256, 256),
    CASE( 1,  3, 16, 256, 512, 2, 2, 1, 1, 0, 0,  3, 16, 256, 512),
    CASE( 2,  8,  8, 512, 200, 1, 1, 1, 1, 0, 0,  8,  8, 512, 208),
};
/* clang-format on */
const size_t check_conv_case_count = sizeof check_conv_cases / sizeof *check_conv_cases;

enum { FRONT = 64 };

/* `n` floats in front of a page that nobody may touch, `off` floats before its edge; poison around them. */
struct buffer {
    float *at;
    size_t n, mapped, off;
    char *base;
};

static bool open_buffer(struct buffer *b, size_t n, size_t off)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t bytes = (n + off + FRONT) * sizeof(float);
    const size_t inner = (bytes + page - 1) / page * page;
    b->mapped = inner + page;
    b->base = mmap(NULL, b->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->base == MAP_FAILED || mprotect(b->base + inner, page, PROT_NONE))
        return false;
    memset(b->base, 0xff, inner);
    b->at = (float *)(b->base + inner) - n - off;
    b->n = n;
    b->off = off;
    return true;
}

/* Is the poison around the buffer as it was? */
static bool close_buffer(struct buffer *b)
{
    bool whole = true;
    for (const char *p = b->base; p < (char *)b->at; p++)
        whole = whole && *p == (char)0xff;
    for (const char *p = (char *)(b->at + b->n); p < (char *)(b->at + b->n + b->off); p++)
        whole = whole && *p == (char)0xff;
    munmap(b->base, b->mapped);
    return whole;
}

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*state >> 40) / (double)(1 << 23) - 1.0);
}

/* Pixels of `size` floats, `channels` of them uniform in [-1, 1), zeros behind. */
static void fill(float *x, size_t pixels, int32_t channels, int32_t size, uint64_t seed)
{
    for (size_t i = 0; i < pixels; i++)
        for (int32_t c = 0; c < size; c++)
            x[i * (size_t)size + (size_t)c] = c < channels ? uniform(&seed) : 0.0f;
}

struct problem {
    enum sl_op op;
    const struct sl_conv2d *s;
    size_t x, y, w;  /* floats of input, output, weights */
    size_t from, to; /* floats of what the operation reads (activations) and writes */
    double tolerance;
};

/* Operands are uniform in [-1, 1): a product has variance 1/9, so a sum of m of them is about sqrt(m)/3, and its
 * roundings in single precision add up, at random, to about 0.07*m*epsilon; for the largest of many sums to a few times
 * as much. A term that is missing or wrong shows as about 1/3. */
static struct problem describe(enum sl_op op, const struct sl_conv2d *s)
{
    struct problem p = {.op = op, .s = s, .w = sl_conv2d_weights(s)};
    p.x = (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->xs;
    p.y = (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->ys;
    double terms = (double)s->n * s->oh * s->ow;
    p.from = p.y;
    p.to = (size_t)s->k;
    if (op == SL_OP_conv2d_fwd) {
        p.from = p.x;
        p.to = p.y;
        terms = (double)s->kh * s->kw * s->c;
    } else if (op == SL_OP_conv2d_bwd_data) {
        p.to = p.x;
        terms = (double)s->kh * s->kw * s->k;
    } else if (op == SL_OP_conv2d_bwd_weights) {
        p.to = p.w;
    }
    p.tolerance = (terms + 4.0) * (double)FLT_EPSILON;
    return p;
}

/* Everything one run reads and writes. */
struct run {
    struct buffer x, y, weights, packed, bias, to, moments, scratch;
};

static void run_slices(const struct sl_kernel *kernel, const struct problem *p, const void *args, int64_t slices,
                       struct buffer *scratch)
{
    const int64_t units = sl_kernel_units(kernel, p->s);
    for (int64_t i = 0; i < slices; i++) {
        memset(scratch->at, 0xff, scratch->n * sizeof(float));
        const struct sl_work work = {units * i / slices, units * (i + 1) / slices, scratch->at, NULL};
        if (work.begin < work.end)
            kernel->run(p->s, args, &work);
    }
}

static void pack_slices(const struct sl_kernel *kernel, const struct problem *p, int64_t slices, struct run *r)
{
    const int64_t units = kernel->pack_units ? kernel->pack_units(p->s) : 1;
    for (int64_t i = 0; i < slices; i++) {
        const struct sl_work work = {units * i / slices, units * (i + 1) / slices, NULL, NULL};
        if (work.begin < work.end)
            kernel->pack(p->s, r->weights.at, r->packed.at, &work);
    }
}

static void launch(const struct sl_kernel *kernel, const struct problem *p, int64_t slices, bool plain, struct run *r)
{
    const float *weights = r->weights.at;
    if (kernel->packed) {
        pack_slices(kernel, p, slices, r);
        weights = r->packed.at;
    }
    const struct sl_conv2d_fwd forward = {
        r->x.at, weights, plain ? NULL : r->bias.at, plain ? 1.0f : 0.25f, r->to.at, plain ? NULL : r->moments.at};
    const struct sl_conv2d_bwd_data backward = {r->y.at, weights, r->to.at};
    const struct sl_conv2d_bwd_weights gradient = {r->x.at, r->y.at, r->to.at};
    const struct sl_bias_bwd bias = {r->y.at, r->to.at};
    const void *const args[] = {&forward, &backward, &gradient, &bias};
    run_slices(kernel, p, args[p->op - SL_OP_conv2d_fwd], slices, &r->scratch);
}

/* Runs a kernel with buffers `off` floats before their pages' ends. The result goes to `result`, the moments' join to
 * `moments` (count, then mean, then sum of squares of each channel). False: memory refused or poison touched. */
static bool compute(const struct sl_kernel *kernel, const struct problem *p, size_t off, int64_t slices, bool plain,
                    float *result, float **records)
{
    const struct sl_conv2d *s = p->s;
    const size_t record = (size_t)sl_kernel_units(kernel, s) * sl_moments_size(s->ys);
    struct run r;
    bool good = open_buffer(&r.x, p->x, off) && open_buffer(&r.y, p->y, off) && open_buffer(&r.weights, p->w, off) &&
                open_buffer(&r.packed, kernel->packed ? kernel->packed(s) : 0, 0) &&
                open_buffer(&r.bias, (size_t)s->k, off) && open_buffer(&r.to, p->to, off) &&
                open_buffer(&r.moments, record, off) &&
                open_buffer(&r.scratch, (sl_kernel_scratch(kernel, s) + 63) / 64 * 16, 0);
    if (!good)
        return false;
    fill(r.x.at, (size_t)s->n * (size_t)s->h * (size_t)s->w, s->c, s->xs, 1);
    fill(r.y.at, (size_t)s->n * (size_t)s->oh * (size_t)s->ow, s->k, s->ys, 2);
    fill(r.weights.at, p->w, 1, 1, 3);
    fill(r.bias.at, (size_t)s->k, 1, 1, 4);
    launch(kernel, p, slices, plain, &r);
    memcpy(result, r.to.at, p->to * sizeof *result);
    if (records && (*records = malloc(record * sizeof **records)))
        memcpy(*records, r.moments.at, record * sizeof **records);
    struct buffer *all[] = {&r.x, &r.y, &r.weights, &r.packed, &r.bias, &r.to, &r.moments, &r.scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        good = close_buffer(all[i]) && good;
    return good;
}

/* Index of the first float that is wrong, or `n`. Padding lanes must be exactly zero. */
static size_t first_wrong(const struct problem *p, const float *got, const float *want)
{
    const size_t size = (size_t)(p->op == SL_OP_conv2d_fwd ? p->s->ys : p->op == SL_OP_conv2d_bwd_data ? p->s->xs : 1);
    const size_t used = (size_t)(p->op == SL_OP_conv2d_fwd ? p->s->k : p->op == SL_OP_conv2d_bwd_data ? p->s->c : 1);
    for (size_t i = 0; i < p->to; i++)
        if (i % size < used ? !(fabs((double)got[i] - (double)want[i]) <= p->tolerance) : got[i] != 0.0f)
            return i;
    return p->to;
}

/* Do the records of all units, joined in double, describe y? One channel. */
static bool moments_agree(const struct sl_conv2d *s, int64_t units, const float *records, const float *y, int32_t k)
{
    const size_t size = sl_moments_size(s->ys), pixels = (size_t)s->n * (size_t)s->oh * (size_t)s->ow;
    double count = 0.0, mean = 0.0, squares = 0.0, sum = 0.0, want = 0.0;
    for (int64_t u = 0; u < units; u++) {
        const float *r = records + (size_t)u * size;
        const double m = (double)r[2 * s->ys], d = (double)r[k] - mean;
        squares += (double)r[s->ys + k] + d * d * count * m / (count + m);
        mean += d * m / (count + m);
        count += m;
    }
    for (size_t i = 0; i < pixels; i++)
        sum += (double)y[i * (size_t)s->ys + (size_t)k];
    sum /= (double)pixels;
    for (size_t i = 0; i < pixels; i++)
        want += ((double)y[i * (size_t)s->ys + (size_t)k] - sum) * ((double)y[i * (size_t)s->ys + (size_t)k] - sum);
    const double scale = sqrt(want / (double)pixels) + fabs(sum);
    return count == (double)pixels && fabs(mean - sum) <= 1e-5 * scale &&
           fabs(squares - want) <= 1e-5 * scale * scale * (double)pixels;
}

static const char *wrong_moments(const struct problem *p, const struct sl_kernel *kernel, const float *records,
                                 const float *y)
{
    const struct sl_conv2d *s = p->s;
    const int64_t units = sl_kernel_units(kernel, s);
    for (int32_t k = 0; k < s->ys; k++)
        if (!moments_agree(s, units, records, y, k))
            return "moments are wrong";
    for (int64_t u = 0; u < units; u++)
        for (int32_t i = 1; i < SL_LANES; i++)
            if (records[(size_t)(u + 1) * sl_moments_size(s->ys) - (size_t)i] != 0.0f)
                return "a record of moments does not end in zeros";
    return NULL;
}

/* What is wrong with a row, or NULL. `detail`: 200 bytes to say it in. */
static const char *fault(const struct sl_kernel *kernel, const struct problem *p, bool plain, const float *want,
                         float *got, float *again, char *detail)
{
    const bool forward = p->op == SL_OP_conv2d_fwd && !plain;
    float *records = NULL;
    const char *text = NULL;
    if (!compute(kernel, p, 0, 1, plain, got, forward ? &records : NULL))
        text = "wrote outside its buffers";
    const size_t wrong = first_wrong(p, got, want);
    if (!text && wrong < p->to) {
        snprintf(detail, 200, "float %zu of %zu is %.9g, not %.9g within %.2g", wrong, p->to, (double)got[wrong],
                 (double)want[wrong], p->tolerance);
        text = detail;
    }
    if (!text && forward)
        text = wrong_moments(p, kernel, records, got);
    free(records);
    if (!text && !compute(kernel, p, 1, 7, plain, again, NULL))
        text = "wrote outside its buffers, one float off";
    if (!text && memcmp(got, again, p->to * sizeof *got))
        text = "seven slices give other bits than one";
    return text;
}

static int check_rows(const struct problem *p, const char *name, uint32_t isa, bool plain)
{
    float *want = malloc(p->to * sizeof *want), *got = malloc(p->to * sizeof *got),
          *again = malloc(p->to * sizeof *again);
    const struct sl_kernel *reference = NULL;
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        if (sl_kernel_rows[i].op == p->op)
            reference = sl_kernel_rows[i].kernel;
    int wrong = !want || !got || !again || !compute(reference, p, 0, 1, plain, want, NULL);
    for (size_t i = 0; !wrong && i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (row->op != p->op || (row->needs & ~isa) || (row->kernel->fits && !row->kernel->fits(p->s)))
            continue;
        char detail[200];
        const char *text = fault(row->kernel, p, plain, want, got, again, detail);
        if (text)
            fprintf(stderr, "%s:%s, %s: %s\n", sl_op_name(p->op), row->name, name, text);
        wrong += text != NULL;
    }
    free(want);
    free(got);
    free(again);
    return wrong;
}

int check_conv(enum sl_op op, const struct check_conv_case *c, uint32_t isa)
{
    const struct problem p = describe(op, &c->shape);
    int wrong = check_rows(&p, c->name, isa, false);
    if (op == SL_OP_conv2d_fwd)
        wrong += check_rows(&p, c->name, isa, true);
    return wrong;
}
