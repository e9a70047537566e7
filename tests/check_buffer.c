/* Buffers of a case: poison in front, data, then at most one number of poison and a page that may not be touched; in a
 * benchmark more poison behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/check.h"

enum { POISON = 0xa5, MARGIN = 256 };

void check_must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "checker: %s\n", what);
    abort();
}

uint32_t check_random(struct check_case *c)
{
    const uint64_t i = c->drawn++;
    if (i % 4 == 0)
        c->words = sl_philox4x32(c->seed, 0, i / 4);
    return c->words.word[i % 4];
}

float check_draw(struct check_case *c, enum check_fill fill)
{
    const float u = sl_uniform(check_random(c));
    switch (fill) {
    case CHECK_COARSE:
        return (float)(int)(u * 8.0f) * 0.25f - 1.0f;
    case CHECK_POSITIVE:
        return 1.0f - u;
    case CHECK_UNIFORM:
        break;
    }
    return 2.0f * u - 1.0f;
}

/* Measured buffers each begin elsewhere in their page, as in the arena: loads and stores 4096 bytes apart get in each
 * other's way. Their pages are huge ones, as there. */
static size_t head_of(const struct check_case *c)
{
    return c->measured ? (size_t)(c->count % 8) * 576 + 64 : MARGIN;
}

static struct check_buffer *allocate(struct check_case *c, const char *name, size_t bytes, size_t number)
{
    check_must(c->count < CHECK_BUFFERS, "too many buffers");
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), head = head_of(c), tail = c->misaligned ? number : 0;
    struct check_buffer *b = &c->buffers[c->count++];
    *b = (struct check_buffer){.name = name, .bytes = bytes};
    b->guard_at = (head + bytes + tail + page - 1) / page * page;
    b->map_bytes = b->guard_at + page;
    b->map = mmap(NULL, b->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check_must(b->map != MAP_FAILED, "out of memory");
    check_must(!mprotect(b->map + b->guard_at, page, PROT_NONE), "no guard page");
    if (c->measured)
        (void)madvise(b->map, b->guard_at, MADV_HUGEPAGE);
    memset(b->map, POISON, b->guard_at);
    b->at = c->measured ? b->map + head : b->map + b->guard_at - tail - bytes;
    return b;
}

struct check_buffer *check_buffer_at(struct check_case *c, const void *at)
{
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].at == at)
            return &c->buffers[i];
    check_must(false, "no buffer there");
    return NULL;
}

void check_freeze(struct check_case *c, void *at)
{
    const struct check_buffer *b = check_buffer_at(c, at);
    check_must(!mprotect(b->map, b->guard_at, PROT_READ), "cannot protect a buffer");
}

void check_moves(struct check_case *c, const void *at, size_t reads, size_t writes)
{
    struct check_buffer *b = check_buffer_at(c, at);
    b->reads = reads;
    b->writes = writes;
}

struct check_traffic check_traffic_of(const struct check_case *c)
{
    struct check_traffic t = {.in_place = true};
    for (int i = 0; i < c->count; i++) {
        const struct check_buffer *b = &c->buffers[i];
        t.reads += b->reads;
        t.writes += b->writes;
        t.in_place = t.in_place && (b->reads || !b->writes);
    }
    return t;
}

float check_get(const struct check_buffer *b, size_t i)
{
    return sl_get(b->element, b->at, (int64_t)i);
}

void check_put(struct check_case *c, void *at, size_t i, float value)
{
    const float rounded = sl_bf16_to_float(sl_bf16_from_float(value));
    sl_put(c->kernel->element, at, (int64_t)i, c->rounded ? rounded : value);
}

static void fill_pixels(struct check_case *c, void *at, int64_t pixels, int32_t channels, int32_t stride,
                        enum check_fill fill)
{
    for (int64_t i = 0; i < pixels; i++)
        for (int32_t l = 0; l < stride; l++)
            check_put(c, at, (size_t)(i * stride + l), l < channels ? check_draw(c, fill) : 0.0f);
}

void *check_input_elements(struct check_case *c, const char *name, size_t n)
{
    const size_t bytes = sl_element_bytes(c->kernel->element);
    return check_input_bytes(c, name, n * bytes, bytes);
}

void *check_input_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                         enum check_fill fill)
{
    void *at = check_input_elements(c, name, (size_t)(pixels * stride));
    fill_pixels(c, at, pixels, channels, stride, fill);
    check_freeze(c, at);
    return at;
}

float *check_input_rows(struct check_case *c, const char *name, int64_t rows, int32_t channels, int32_t stride,
                        enum check_fill fill)
{
    float *at = check_input_bytes(c, name, sizeof *at * (size_t)(rows * stride), sizeof *at);
    for (int64_t i = 0; i < rows; i++)
        for (int32_t l = 0; l < stride; l++)
            at[i * stride + l] = l < channels ? check_draw(c, fill) : 0.0f;
    check_freeze(c, at);
    return at;
}

float *check_input(struct check_case *c, const char *name, size_t n, enum check_fill fill)
{
    return check_input_rows(c, name, (int64_t)n, 1, 1, fill);
}

void *check_input_bytes(struct check_case *c, const char *name, size_t bytes, size_t alignment)
{
    struct check_buffer *b = allocate(c, name, bytes, alignment);
    b->reads = bytes;
    return b->at;
}

static void *allocate_work(struct check_case *c, const char *name, size_t n, size_t number)
{
    struct check_buffer *b = allocate(c, name, n * number, number);
    memset(b->at, 0xff, b->bytes); /* a quiet NaN in every number of any type */
    b->is_output = true;
    b->tolerance.ulp = -1;
    return b->at;
}

float *check_work(struct check_case *c, const char *name, size_t n)
{
    return allocate_work(c, name, n, sizeof(float));
}

double *check_work_double(struct check_case *c, const char *name, size_t n)
{
    return allocate_work(c, name, n, sizeof(double));
}

void *check_find(const struct check_case *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (!strcmp(c->buffers[i].name, name))
            return c->buffers[i].at;
    check_must(false, name);
    return NULL;
}

static void *allocate_output(struct check_case *c, const char *name, enum sl_element element, int64_t pixels,
                             int32_t channels, int32_t stride, struct check_tolerance tolerance)
{
    void *at = allocate_work(c, name, (size_t)(pixels * stride), sl_element_bytes(element));
    struct check_buffer *b = &c->buffers[c->count - 1];
    b->element = element;
    b->writes = b->bytes;
    b->tolerance = tolerance;
    b->pixels = pixels;
    b->channels = channels;
    b->stride = stride;
    return at;
}

void *check_output_pixels(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                          struct check_tolerance tolerance)
{
    return allocate_output(c, name, c->kernel->element, pixels, channels, stride, tolerance);
}

sl_bf16 *check_output_bf16(struct check_case *c, const char *name, size_t n)
{
    return allocate_output(c, name, SL_ELEMENT_BF16, (int64_t)n, 1, 1, check_exact);
}

float *check_output_rows(struct check_case *c, const char *name, int64_t rows, int32_t channels, int32_t stride,
                         struct check_tolerance tolerance)
{
    return allocate_output(c, name, SL_ELEMENT_F32, rows, channels, stride, tolerance);
}

float *check_output(struct check_case *c, const char *name, size_t n, struct check_tolerance tolerance)
{
    return check_output_rows(c, name, (int64_t)n, 1, 1, tolerance);
}

void *check_inout(struct check_case *c, const char *name, int64_t pixels, int32_t channels, int32_t stride,
                  enum check_fill fill, struct check_tolerance tolerance)
{
    void *at = check_output_pixels(c, name, pixels, channels, stride, tolerance);
    struct check_buffer *b = &c->buffers[c->count - 1];
    b->reads = b->bytes;
    fill_pixels(c, at, pixels, channels, stride, fill);
    return at;
}

static const unsigned char *first_touched(const unsigned char *from, const unsigned char *to)
{
    while (from < to && *from == POISON)
        from++;
    return from < to ? from : NULL;
}

const unsigned char *check_margins(const struct check_buffer *b)
{
    const unsigned char *before = first_touched(b->map, b->at);
    if (!before && b->overrun)
        return b->at + b->bytes;
    return before ? before : first_touched(b->at + b->bytes, b->map + b->guard_at);
}

void check_release(struct check_case *c)
{
    for (int i = 0; i < c->count; i++)
        munmap(c->buffers[i].map, c->buffers[i].map_bytes);
    c->count = 0;
    if (c->state && c->kernel->close)
        c->kernel->close(c->state);
    free(c->state);
    c->state = NULL;
}

const struct sl_now *check_now(struct check_case *c, bool bad)
{
    struct sl_now *now = check_input_bytes(c, "now", sizeof *now, _Alignof(struct sl_now));
    *now = (struct sl_now){.iteration = 7, .seed = 11, .rate = 8e-3f, .bad = bad ? SL_BAD_GRADIENT : 0};
    check_freeze(c, now);
    return now;
}
