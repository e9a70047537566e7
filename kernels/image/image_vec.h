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

/* VL pixels, all inside. */
static inline void convert(const struct affine *f, const uint8_t *x, float *y)
{
    for (int v = 0; v < 3; v++)
        v_store(y + v * VL, v_fma(v_load_bytes(x + v * VL), f->scale[v], f->shift[v]));
}

/* `pixels` output pixels from the `pixels` bytes-triples at x, mirrored or not. */
static void convert_run(const struct affine *f, const uint8_t *x, float *y, int32_t pixels, bool flip)
{
    int32_t j = 0;
    for (; j + VL <= pixels && !flip; j += VL)
        convert(f, x + 3 * j, y + 3 * j);
    for (; j < pixels; j += VL) {
        const int32_t n = pixels - j < VL ? pixels - j : VL;
        uint8_t bytes[3 * VL] = {0};
        float floats[3 * VL];
        for (int32_t i = 0; i < n; i++)
            memcpy(bytes + 3 * i, x + 3 * (flip ? pixels - 1 - j - i : j + i), 3);
        if (n == VL) {
            convert(f, bytes, y + 3 * j);
        } else {
            convert(f, bytes, floats);
            memcpy(y + 3 * j, floats, sizeof(float) * 3 * (size_t)n);
        }
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
        convert_run(&f, t->x + (row * p->width + t->left + from) * 3, y + 3 * lead, to - from, t->flip);
        blank(t->shift, y + 3 * (lead + to - from), p->ow - lead - (to - from));
    }
}

const struct sl_kernel V_NAME(sl_image_to_float) = {.units = rows, .run = to_float};
