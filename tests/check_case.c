/* One case: the operation, the row made ready for the shape, slices, packing. */
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"

enum { SLICES = 7 };

const struct check_tolerance check_exact = {0.0, 0.0, 0};

#define CHECK_ADDRESS(area) &check_##area,
static const struct check_area *const areas[] = {CHECK_AREAS(CHECK_ADDRESS)};
#undef CHECK_ADDRESS

const struct check_op *check_find_op(enum sl_op op)
{
    for (size_t a = 0; a < sizeof areas / sizeof *areas; a++)
        for (size_t i = 0; i < areas[a]->count; i++)
            if (areas[a]->ops[i].op == op)
                return &areas[a]->ops[i];
    return NULL;
}

/* In one slice, or in seven uneven ones from last to first. */
static void run_slices(const struct check_case *c, int64_t units,
                       void (*run)(const void *self, const struct sl_work *work), const void *self, void *scratch)
{
    if (!c->sliced) {
        const struct sl_work all = {.begin = 0, .end = units, .scratch = scratch, .state = c->state};
        run(self, &all);
        return;
    }
    /* Cuts at s*s/49 of the units: 1/49, 4/49, ...; with few units some slices are empty, as kernels must allow. */
    for (int64_t s = SLICES - 1; s >= 0; s--) {
        const struct sl_work slice = {
            .begin = units * s * s / (SLICES * SLICES),
            .end = units * (s + 1) * (s + 1) / (SLICES * SLICES),
            .scratch = scratch,
            .state = c->state,
        };
        run(self, &slice);
    }
}

static void run_units(const void *self, const struct sl_work *work)
{
    const struct check_case *c = self;
    c->kernel->run(c->shape, c->args.bytes, work);
}

bool check_run(struct check_case *c)
{
    if (c->device)
        return check_run_there(c);
    run_slices(c, c->need.units, run_units, c, c->scratch);
    return true;
}

struct packing {
    const struct check_case *c;
    const float *weights;
    void *packed;
};

static void run_pack(const void *self, const struct sl_work *work)
{
    const struct packing *p = self;
    p->c->kernel->pack(p->c->shape, p->weights, p->packed, work);
}

const float *check_pack(struct check_case *c, const float *weights)
{
    if (!c->need.packed)
        return weights;
    float *packed = check_work(c, "packed", c->need.packed / sizeof(float));
    const struct packing packing = {c, weights, packed};
    if (c->device) {
        check_pack_there(c, weights, packed);
        return packed;
    }
    run_slices(c, c->need.pack_units, run_pack, &packing, NULL);
    return packed;
}

const struct sl_kernel_row *check_find_reference(enum sl_op op, enum sl_element element)
{
    const struct sl_kernel_row *last = NULL;
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        if (sl_kernel_rows[i].op == op && sl_kernel_rows[i].kernel->element == element)
            last = &sl_kernel_rows[i];
    return last && last->needs == SL_CPU ? last : NULL;
}

void check_reference(enum sl_op op, const void *shape, const void *args)
{
    const struct sl_kernel_row *row = check_find_reference(op, SL_ELEMENT_F32);
    struct sl_need need;
    check_must(row && sl_row_takes(row, op, shape, SL_CPU, &need), "no reference");
    const struct sl_work all = {.begin = 0, .end = need.units};
    row->kernel->run(shape, args, &all);
}

/* What the row makes of the shape. */
static bool open_row(struct check_case *c)
{
    if (!sl_row_takes(c->row, c->row->op, c->shape, c->row->needs, &c->need))
        return false;
    if (!c->need.state)
        return true;
    c->state = calloc(1, c->need.state);
    check_must(c->state, "out of memory");
    if (c->kernel->open && c->kernel->open(c->shape, c->device, c->state) != SL_OK) {
        free(c->state); /* what did not open is not closed */
        c->state = NULL;
        return false;
    }
    if (c->kernel->scratch)
        c->need.scratch = c->kernel->scratch(c->shape, c->state);
    return true;
}

/* Scratch is promised to be aligned, and of no interest afterwards. */
static float *take_scratch(struct check_case *c)
{
    const size_t bytes = (c->need.scratch + 63) / 64 * 64;
    if (!bytes)
        return NULL;
    const bool misaligned = c->misaligned;
    c->misaligned = false;
    float *scratch = check_work(c, "scratch", bytes / sizeof(float));
    c->buffers[c->count - 1].is_output = false;
    c->misaligned = misaligned;
    return scratch;
}

/* The shape in another element, which is its last member. */
static void convert_shape(enum sl_op op, const void *shape, enum sl_element element, unsigned char *to)
{
    const size_t bytes = sl_op_shape_bytes(op);
    memcpy(to, shape, bytes);
    memcpy(to + bytes - sizeof element, &element, sizeof element);
}

bool check_takes(const struct check_op *op, size_t index, const struct sl_kernel_row *row)
{
    struct check_case c;
    convert_shape(op->op, op->shape(index, NULL, 0), row->kernel->element, c.shape_bytes.bytes);
    return sl_row_takes(row, op->op, c.shape_bytes.bytes, row->needs, &c.need);
}

bool check_set_up(struct check_case *c, const struct check_op *op, const void *shape, const struct sl_kernel_row *row)
{
    c->kernel = row->kernel;
    c->row = row;
    c->rounded = c->rounded || row->kernel->element == SL_ELEMENT_BF16;
    convert_shape(op->op, shape, row->kernel->element, c->shape_bytes.bytes);
    c->shape = c->shape_bytes.bytes;
    if (!open_row(c))
        return false;
    op->set_up(c);
    c->scratch = take_scratch(c);
    return true;
}

bool check_set_up_at(struct check_case *c, const struct check_op *op, size_t index, const struct sl_kernel_row *row)
{
    c->index = index;
    c->variant = c->measured ? 0 : index;
    return check_set_up(c, op, op->shape(index, NULL, 0), row);
}
