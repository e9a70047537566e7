/* Bytes to floats, once for all vector lengths and elements. A run of VL pixels is three vectors; so are the scales and
 * shifts, which repeat every three floats. A mirrored run is turned round as bytes first. */
#include <string.h>

#include "kernels/contract.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"

struct affine {
    vf scale[3], shift[3];
};

static bool each_row(const void *shape, struct sl_need *need)
{
    const struct sl_image *s = shape;
    need->units = (int64_t)s->n * s->oh;
    return true;
}

static void spread(const float three[3], vf to[3])
{
    float lanes[3 * VL];
    for (int i = 0; i < 3 * VL; i++)
        lanes[i] = three[i % 3];
    for (int v = 0; v < 3; v++)
        to[v] = v_load(lanes + v * VL);
}

/* The VL pixels at x. */
static inline void convert_run(const struct affine *f, const uint8_t *x, ve *y)
{
#pragma GCC unroll 3
    for (int v = 0; v < 3; v++)
        e_store(y + v * VL, v_fma(v_load_bytes(x + v * VL), f->scale[v], f->shift[v]));
}

/* `pixels` pixels, all inside; `y` gets no more than theirs. The last run goes back over pixels of the one before. */
static inline void convert(const struct affine *f, const uint8_t *x, ve *y, int32_t pixels)
{
    if (pixels < VL) {
        uint8_t bytes[3 * VL] = {0};
        ve values[3 * VL];
        memcpy(bytes, x, 3 * (size_t)pixels);
        convert_run(f, bytes, values);
        memcpy(y, values, sizeof *y * 3 * (size_t)pixels);
        return;
    }
    for (int32_t j = 0; j < pixels - VL; j += VL)
        convert_run(f, x + 3 * j, y + 3 * j);
    convert_run(f, x + 3 * (pixels - VL), y + 3 * (pixels - VL));
}

/* Pixels from right to left, five at a time: bytes 1 to 15 of a vector; its byte 0 belongs to the pixel before, which
 * the next bytes written overwrite. */
static inline void mirror(const uint8_t *x, int32_t pixels, uint8_t *to)
{
    typedef uint8_t bytes16 __attribute__((vector_size(16)));
    int32_t left = pixels;
    for (; left > 5; left -= 5, to += 15) {
        bytes16 five;
        memcpy(&five, x + 3 * (left - 5) - 1, sizeof five);
        five = __builtin_shufflevector(five, five, 13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, 0);
        memcpy(to, &five, sizeof five);
    }
    for (; left > 0; left--, to += 3)
        memcpy(to, x + 3 * (left - 1), 3);
}

/* The same from right to left, by way of a buffer long enough that the bytes have arrived in the cache when they are
 * read again. */
static void convert_mirrored(const struct affine *f, const uint8_t *x, ve *y, int32_t pixels)
{
    enum { CHUNK = 64 };
    uint8_t bytes[3 * CHUNK];
    for (int32_t j = 0; j < pixels; j += CHUNK) {
        const int32_t n = pixels - j < CHUNK ? pixels - j : CHUNK;
        mirror(x + 3 * (pixels - j - n), n, bytes);
        convert(f, bytes, y + 3 * j, n);
    }
}

/* Pixels outside the image are byte 0. */
static void blank(const float shift[3], ve *y, int32_t pixels)
{
    for (int32_t i = 0; i < 3 * pixels; i++)
        e_put(y + i, shift[i % 3]);
}

/* Columns [from, to) of the window lie inside the image; mirrored, they become [ow - to, ow - from). */
struct inside {
    int32_t from, to;
};

static struct inside inside_of(const struct sl_image *s, const struct sl_image_place *at)
{
    const int64_t end = (int64_t)s->width - at->left;
    const int32_t from = at->left >= 0 ? 0 : -(int64_t)at->left < s->ow ? -at->left : s->ow;
    return (struct inside){from, end > s->ow ? s->ow : end < from ? from : (int32_t)end};
}

/* One row of a window. */
static void convert_row(const struct sl_image *s, const struct sl_image_to_float *t, const struct affine *f,
                        int64_t unit)
{
    const struct sl_image_place *at = &t->places[unit / s->oh];
    const struct inside in = inside_of(s, at);
    const int64_t row = unit % s->oh + at->top;
    ve *y = e_to(t->y, unit * s->ow * 3);
    if (row < 0 || row >= s->height || in.from == in.to) {
        blank(t->shift, y, s->ow);
        return;
    }
    const int32_t lead = at->flip ? s->ow - in.to : in.from, pixels = in.to - in.from;
    const uint8_t *x = t->x + ((at->index * s->height + row) * s->width + at->left + in.from) * 3;
    blank(t->shift, y, lead);
    if (at->flip)
        convert_mirrored(f, x, y + 3 * lead, pixels);
    else
        convert(f, x, y + 3 * lead, pixels);
    blank(t->shift, y + 3 * (lead + pixels), s->ow - lead - pixels);
}

static void to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_image *s = shape;
    const struct sl_image_to_float *t = args;
    assert(sl_image_is_sound(s) && sl_work_fits(work, each_row, s));
    struct affine f;
    spread(t->scale, f.scale);
    spread(t->shift, f.shift);
    for (int64_t unit = work->begin; unit < work->end; unit++)
        convert_row(s, t, &f, unit);
}

const struct sl_kernel E_NAME(sl_image_to_float) = {.element = E_ELEMENT, .need = each_row, .run = to_float};
