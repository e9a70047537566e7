/* Bytes to floats, once for all vector lengths. A run of VL pixels is three vectors; so are the scales and shifts,
 * which repeat every three floats. A mirrored run is turned round as bytes first. */
#include <string.h>

#include "kernels/image/image.h"
#include "kernels/kernels.h"

struct affine {
    vf scale[3], shift[3];
};

static int64_t rows(const void *shape)
{
    return ((const struct sl_image *)shape)->oh;
}

static void spread(const float three[3], vf to[3])
{
    float lanes[3 * VL];
    for (int i = 0; i < 3 * VL; i++)
        lanes[i] = three[i % 3];
    for (int v = 0; v < 3; v++)
        to[v] = v_load(lanes + v * VL);
}

/* `pixels` pixels, all inside; `y` gets no more than theirs. */
static inline void convert(const struct affine *f, const uint8_t *x, float *y, int32_t pixels)
{
    int32_t j = 0;
    for (; j + VL <= pixels; j += VL)
        for (int v = 0; v < 3; v++)
            v_store(y + 3 * j + v * VL, v_fma(v_load_bytes(x + 3 * j + v * VL), f->scale[v], f->shift[v]));
    if (j == pixels)
        return;
    const size_t rest = 3 * (size_t)(pixels - j);
    uint8_t bytes[3 * VL] = {0};
    float floats[3 * VL];
    memcpy(bytes, x + 3 * j, rest);
    for (int v = 0; v < 3; v++)
        v_store(floats + v * VL, v_fma(v_load_bytes(bytes + v * VL), f->scale[v], f->shift[v]));
    memcpy(y + 3 * j, floats, sizeof(float) * rest);
}

/* The same from right to left: CHUNK pixels at a time are turned round in a buffer, long enough that the bytes have
 * arrived in the cache when they are read as vectors. */
static void convert_mirrored(const struct affine *f, const uint8_t *x, float *y, int32_t pixels)
{
    enum { CHUNK = 64 };
    uint8_t bytes[3 * CHUNK];
    for (int32_t j = 0; j < pixels; j += CHUNK) {
        const int32_t n = pixels - j < CHUNK ? pixels - j : CHUNK;
        const uint8_t *from = x + 3 * (pixels - 1 - j);
        for (int32_t i = 0; i < n; i++, from -= 3)
            memcpy(bytes + 3 * i, from, 3);
        convert(f, bytes, y + 3 * j, n);
    }
}

/* Pixels outside the image are byte 0. */
static void blank(const float shift[3], float *y, int32_t pixels)
{
    for (int32_t i = 0; i < 3 * pixels; i++)
        y[i] = shift[i % 3];
}

static void to_float(const void *shape, const void *args, const struct sl_work *work)
{
    const struct sl_image *p = shape;
    const struct sl_image_to_float *t = args;
    /* Columns [from, to) of the window lie inside the image; mirrored, they become [ow - to, ow - from). */
    const int64_t inside_to = (int64_t)p->width - t->left;
    const int32_t from = t->left >= 0 ? 0 : -(int64_t)t->left < p->ow ? -t->left : p->ow;
    const int32_t to = inside_to > p->ow ? p->ow : inside_to < from ? from : (int32_t)inside_to;
    const int32_t lead = t->flip ? p->ow - to : from;
    struct affine f;
    spread(t->scale, f.scale);
    spread(t->shift, f.shift);
    for (int64_t i = work->begin; i < work->end; i++) {
        const int64_t row = i + t->top;
        float *y = t->y + i * p->ow * 3;
        if (row < 0 || row >= p->height || from == to) {
            blank(t->shift, y, p->ow);
            continue;
        }
        blank(t->shift, y, lead);
        const uint8_t *x = t->x + (row * p->width + t->left + from) * 3;
        if (t->flip)
            convert_mirrored(&f, x, y + 3 * lead, to - from);
        else
            convert(&f, x, y + 3 * lead, to - from);
        blank(t->shift, y + 3 * (lead + to - from), p->ow - lead - (to - from));
    }
}

const struct sl_kernel V_NAME(sl_image_to_float) = {.units = rows, .run = to_float};
