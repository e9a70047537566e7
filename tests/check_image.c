/* Bytes to floats: one fused multiply-add, so equal bits. */
#include <stdio.h>

#include "kernels/image/image.h"
#include "tests/check.h"

static const struct {
    struct sl_image shape;
    int32_t top, left;
    bool flip;
} cases[] = {
    /* images of one shape; the window of the first; the last MEASURED to be measured */
    {{1, 1, 1, 1, 1, SL_ELEMENT_F32}, 0, 0, false},     {{1, 1, 3, 3, 1, SL_ELEMENT_F32}, -1, -1, true},
    {{7, 9, 7, 9, 3, SL_ELEMENT_F32}, 0, 0, true},      {{8, 8, 8, 8, 1, SL_ELEMENT_F32}, 0, 0, false},
    {{16, 16, 16, 16, 1, SL_ELEMENT_F32}, 1, -2, true}, {{17, 33, 13, 31, 5, SL_ELEMENT_F32}, 2, 1, false},
    {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, 0, 0, false}, {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, 0, 0, true},
    {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, -4, 4, true}, {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, 3, -3, false},
    {{5, 5, 4, 40, 1, SL_ELEMENT_F32}, 0, -20, true},   {{5, 5, 3, 7, 1, SL_ELEMENT_F32}, 9, 0, false},
    {{6, 6, 3, 7, 1, SL_ELEMENT_F32}, 0, -9, true},     {{100, 75, 64, 67, 1, SL_ELEMENT_F32}, 18, 5, true},
    {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, 0, 0, false}, {{64, 64, 64, 64, 1, SL_ELEMENT_F32}, 0, 0, true},
};
enum { MEASURED = 2, CASES = sizeof cases / sizeof *cases - MEASURED };

static const void *shape(size_t index, char *name, size_t size)
{
    const struct sl_image *s = &cases[index].shape;
    snprintf(name, size, "n%d_%dx%dto%dx%dat%d_%d%s", s->n, s->height, s->width, s->oh, s->ow, cases[index].top,
             cases[index].left, cases[index].flip ? "flip" : "");
    return s;
}

static void to_float(struct check_case *c)
{
    const struct sl_image *s = c->shape;
    struct sl_image_to_float *t = (void *)c->args.bytes;
    enum { STORED = 4 };
    const size_t bytes = STORED * 3 * (size_t)s->height * (size_t)s->width;
    struct sl_image_place *places =
        check_input_bytes(c, "places", (size_t)s->n * sizeof *places, _Alignof(struct sl_image_place));
    for (int32_t i = 0; i < s->n; i++)
        places[i] = (struct sl_image_place){check_random(c) % STORED, cases[c->index].top + i, cases[c->index].left - i,
                                            cases[c->index].flip ^ (i & 1)};
    check_freeze(c, places);
    t->places = places;
    uint8_t *x = check_input_bytes(c, "x", bytes, 1);
    for (size_t i = 0; i < bytes; i++)
        x[i] = (uint8_t)check_random(c);
    check_freeze(c, x);
    t->x = x;
    check_moves(c, x, bytes / STORED * (size_t)s->n, 0);
    for (int i = 0; i < 3; i++) {
        t->scale[i] = check_draw(c, CHECK_UNIFORM);
        t->shift[i] = check_draw(c, CHECK_UNIFORM);
    }
    t->y = check_output_pixels(c, "y", (int64_t)s->n * s->oh * s->ow, 3, 3, check_exact);
}

static const struct check_op ops[] = {{SL_OP_image_to_float, CASES, MEASURED, shape, to_float, NULL, CHECK_ALL_EQUAL}};
const struct check_area check_image = {ops, sizeof ops / sizeof *ops};
