#include "kernels/conv/units.h"

#include <assert.h>

static bool small_enough(const struct sl_units *u, const struct sl_units_input *input, const struct sl_units_goal *goal,
                         int32_t images)
{
    const int64_t rows = (int64_t)(u->rows - 1) * input->stride + input->kernel;
    return (size_t)rows * input->row_bytes * (size_t)images <= goal->bytes &&
           (int64_t)u->rows * u->ow * images <= goal->most;
}

struct sl_units sl_units_plan(int32_t n, int32_t oh, int32_t ow, const struct sl_units_input *input,
                              const struct sl_units_goal *goal)
{
    struct sl_units u = {.n = n, .oh = oh, .ow = ow, .rows = oh, .images = 1};
    while (u.rows > 1 && !small_enough(&u, input, goal, 1))
        u.rows--;
    while (u.rows > 1 && (int64_t)n * ((oh + u.rows - 1) / u.rows) < goal->units &&
           (int64_t)(u.rows - 1) * ow >= goal->least)
        u.rows--;
    u.per_image = (oh + u.rows - 1) / u.rows;
    u.rows = (oh + u.per_image - 1) / u.per_image;
    u.per_image = (oh + u.rows - 1) / u.rows;
    const int64_t image = (int64_t)oh * ow;
    while (u.per_image == 1 && u.images < n && small_enough(&u, input, goal, u.images + 1) &&
           (n / (u.images + 1) >= goal->units || u.images * image < goal->least))
        u.images++;
    return u;
}

void sl_units_pair_rows(struct sl_units *u)
{
    u->rows += u->rows % 2;
    u->per_image = (u->oh + u->rows - 1) / u->rows;
}

struct sl_unit sl_units_at(const struct sl_units *u, int64_t unit)
{
    assert(0 <= unit && unit < sl_units_count(u));
    struct sl_unit at = {.n = unit / u->per_image * u->images, .p = (int32_t)(unit % u->per_image) * u->rows};
    at.images = u->n - at.n < u->images ? (int32_t)(u->n - at.n) : u->images;
    at.rows = u->oh - at.p < u->rows ? u->oh - at.p : u->rows;
    return at;
}

struct sl_unit_source sl_unit_source(const struct sl_unit *unit, int64_t begin, int64_t end, int32_t h, int32_t w)
{
    const int64_t first = begin < 0 ? 0 : begin < h ? begin : h;
    const int64_t last = end < first ? first : end < h ? end : h;
    return (struct sl_unit_source){(unit->n * h + first) * w, ((unit->images - 1) * (int64_t)h + last - first) * w};
}
