/* Bytes to floats: one fused multiply-add, so equal bits. */
#include <stdio.h>

#include "kernels/image/image.h"
#include "tests/check.h"

static const struct {
    struct sl_image shape;
    int32_t top, left;
    bool flip;
} cases[] = {
    {{1, 1, 1, 1}, 0, 0, false},      {{1, 1, 3, 3}, -1, -1, true},     {{7, 9, 7, 9}, 0, 0, true},
    {{8, 8, 8, 8}, 0, 0, false},      {{16, 16, 16, 16}, 1, -2, true},  {{17, 33, 13, 31}, 2, 1, false},
    {{64, 64, 64, 64}, 0, 0, false},  {{64, 64, 64, 64}, 0, 0, true},   {{64, 64, 64, 64}, -4, 4, true},
    {{64, 64, 64, 64}, 3, -3, false}, {{5, 5, 4, 40}, 0, -20, true},    {{5, 5, 3, 7}, 9, 0, false},
    {{6, 6, 3, 7}, 0, -9, true},      {{100, 75, 64, 67}, 18, 5, true},
};
enum { CASES = sizeof cases / sizeof *cases };

static const void *shape(size_t index, char *name, size_t size)
{
    const struct sl_image *s = &cases[index].shape;
    snprintf(name, size, "%dx%dto%dx%dat%d_%d%s", s->height, s->width, s->oh, s->ow, cases[index].top,
             cases[index].left, cases[index].flip ? "flip" : "");
    return s;
}

static void to_float(struct check_case *c, size_t index)
{
    const struct sl_image *s = &cases[index].shape;
    struct sl_image_to_float *t = (void *)c->args.bytes;
    *t = (struct sl_image_to_float){.top = cases[index].top, .left = cases[index].left, .flip = cases[index].flip};
    const size_t bytes = 3 * (size_t)s->height * (size_t)s->width;
    uint8_t *x = check_input_bytes(c, "x", bytes);
    for (size_t i = 0; i < bytes; i++)
        x[i] = (uint8_t)check_random(c);
    check_freeze(c, x);
    t->x = x;
    for (int i = 0; i < 3; i++) {
        t->scale[i] = check_draw(c, CHECK_UNIFORM);
        t->shift[i] = check_draw(c, CHECK_UNIFORM);
    }
    t->y = check_output(c, "y", 3 * (size_t)s->oh * (size_t)s->ow, check_exact);
}

static const struct check_op ops[] = {{SL_OP_image_to_float, CASES, shape, to_float, NULL}};
const struct check_area check_image = {ops, sizeof ops / sizeof *ops};
