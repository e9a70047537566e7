/* Runs the cases: names, choice of rows, slicing, comparison. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/check.h"
#include "tests/check_buffer.h"

enum { SLICES = 7, NAME_SIZE = 128 };

const struct check_tolerance check_exact = {0.0, 0.0, 0};

/* One test: a row on a shape. */
struct check_test {
    const struct check_op *op;
    const struct sl_kernel_row *row, *reference;
    size_t index;
    char name[NAME_SIZE];
    const char *complaint;      /* why this row cannot be checked, or NULL */
    struct check_case cases[3]; /* here, so that the group's end releases what a failed test left */
};

static uint64_t seed = 1;

static uint32_t runnable_isa(void)
{
#ifdef SL_CHECK_EMULATED
    return sl_isa() | SL_AVX512;
#else
    return sl_isa();
#endif
}

void check_slices(const struct check_case *c, int64_t units, void (*run)(const void *self, const struct sl_work *work),
                  const void *self, void *scratch)
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

static void run_kernel(struct check_case *c)
{
    const size_t bytes = (c->need.scratch + 63) / 64 * 64;
    const bool misaligned = c->misaligned;
    c->misaligned = false; /* scratch is promised to be aligned */
    float *scratch = bytes ? check_work(c, "scratch", bytes / sizeof(float)) : NULL;
    if (bytes)
        c->buffers[c->count - 1].is_output = false;
    c->misaligned = misaligned;
    check_slices(c, c->need.units, run_units, c, scratch);
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
    check_slices(c, c->need.pack_units, run_pack, &packing, NULL);
    return packed;
}

static const struct sl_kernel_row *find_reference(enum sl_op op)
{
    for (size_t i = 0; i < sl_kernel_row_count; i++)
        if (sl_kernel_rows[i].op == op && !strcmp(sl_kernel_rows[i].name, "ref"))
            return &sl_kernel_rows[i];
    return NULL;
}

void check_reference(enum sl_op op, const void *shape, const void *args)
{
    const struct sl_kernel_row *row = find_reference(op);
    struct sl_need need;
    assert_true(row && sl_row_takes(row, op, shape, SL_CPU, &need));
    const struct sl_work all = {.begin = 0, .end = need.units};
    row->kernel->run(shape, args, &all);
}

/* Distance in representable floats; floats of one sign are ordered like their bits. */
static int64_t ulps(float a, float b)
{
    int32_t i, j;
    memcpy(&i, &a, sizeof i);
    memcpy(&j, &b, sizeof j);
    const int64_t x = i < 0 ? (int64_t)INT32_MIN - i : i, y = j < 0 ? (int64_t)INT32_MIN - j : j;
    return x > y ? x - y : y - x;
}

static bool close_enough(float got, float want, struct check_tolerance t)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    const double error = fabs((double)got - want);
    return got == want || error <= t.absolute + t.relative * fabs(want) || ulps(got, want) <= t.ulp;
}

static void compare(const struct check_buffer *got, const struct check_buffer *want)
{
    const float *g = (const float *)got->at, *w = (const float *)want->at;
    assert_int_equal(got->bytes, want->bytes);
    for (size_t i = 0; i < got->bytes / sizeof(float); i++)
        if (!close_enough(g[i], w[i], got->tolerance))
            fail_msg("%s[%zu] of %zu: %.9g, the reference says %.9g (seed %llu)", got->name, i,
                     got->bytes / sizeof(float), g[i], w[i], (unsigned long long)seed);
}

static void compare_bits(const struct check_buffer *one, const struct check_buffer *seven)
{
    assert_int_equal(one->bytes, seven->bytes);
    for (size_t i = 0; i < one->bytes; i++)
        if (one->at[i] != seven->at[i])
            fail_msg("%s: byte %zu of %zu depends on the slices", one->name, i, one->bytes);
}

static void padding_is_zero(const struct check_buffer *b)
{
    const float *at = (const float *)b->at;
    for (int64_t i = 0; i < b->pixels; i++)
        for (int32_t l = b->channels; l < b->stride; l++)
            if (at[i * b->stride + l] != 0.0f)
                fail_msg("%s: padding lane %d of pixel %lld is %g", b->name, l, (long long)i, at[i * b->stride + l]);
}

/* What the row makes of the shape. */
static void open_row(struct check_case *c)
{
    assert_true(sl_row_takes(c->row, c->row->op, c->shape, c->row->needs, &c->need));
    if (!c->need.state)
        return;
    assert_non_null(c->state = calloc(1, c->need.state));
    if (c->kernel->open)
        assert_int_equal(c->kernel->open(c->shape, NULL, c->state), SL_OK);
}

static void run_case(struct check_case *c, const struct check_test *test, const struct sl_kernel_row *row, bool sliced)
{
    char name[NAME_SIZE];
    *c = (struct check_case){.kernel = row->kernel, .row = row, .misaligned = sliced, .sliced = sliced, .seed = seed};
    c->shape = test->op->shape(test->index, name, sizeof name);
    open_row(c);
    test->op->set_up(c, test->index);
    run_kernel(c);
    check_margins(c);
    if (test->op->finish)
        test->op->finish(c, test->index);
}

static void check_row(void **state)
{
    struct check_test *test = *state;
    if (test->complaint)
        fail_msg("%s", test->complaint);
    if (test->row->needs & ~runnable_isa()) {
        print_message("%s: needs %s\n", test->name, sl_isa_text(test->row->needs));
        skip();
    }
    struct check_case *want = &test->cases[0], *got = &test->cases[1], *seven = &test->cases[2];
    run_case(want, test, test->reference, false);
    run_case(got, test, test->row, false);
    run_case(seven, test, test->row, true);
    for (int i = 0; i < got->count; i++) {
        const struct check_buffer *b = &got->buffers[i];
        if (!b->is_output)
            continue;
        compare_bits(b, &seven->buffers[i]);
        padding_is_zero(b);
        if (b->tolerance.ulp >= 0)
            compare(b, &want->buffers[i]);
    }
}

static int release(void **state)
{
    struct check_test *test = *state;
    for (size_t i = 0; i < sizeof test->cases / sizeof *test->cases; i++) {
        check_release(&test->cases[i]);
        free(test->cases[i].state);
        test->cases[i].state = NULL;
    }
    return 0;
}

static const struct check_op *find_op(enum sl_op op, const struct check_area *const *areas, size_t count)
{
    for (size_t a = 0; a < count; a++)
        for (size_t i = 0; i < areas[a]->count; i++)
            if (areas[a]->ops[i].op == op)
                return &areas[a]->ops[i];
    return NULL;
}

/* Appends the tests of one row to `tests` (NULL: only counts them). A row without any gets one that fails. */
static size_t list_row(const struct sl_kernel_row *row, const struct check_op *op, struct check_test *tests)
{
    size_t n = 0;
    const struct check_test test = {.op = op, .row = row, .reference = find_reference(row->op)};
    for (size_t i = 0; op && test.reference && i < op->shapes; i++) {
        char name[NAME_SIZE];
        const void *shape = op->shape(i, name, sizeof name);
        /* need() itself is compiled for the row's instructions; a row that cannot run is listed and skipped. */
        const bool runs = !(row->needs & ~runnable_isa());
        struct sl_need need;
        if (runs && !sl_row_takes(row, row->op, shape, row->needs, &need))
            continue;
        if (tests) {
            tests[n] = test;
            tests[n].index = i;
            snprintf(tests[n].name, NAME_SIZE, "%s/%s/%.80s", sl_op_name(row->op), row->name, name);
        }
        n++;
    }
    if (n == 0 && tests) {
        tests[0] = test;
        tests[0].complaint = !op               ? "no checker knows this operation: add one to tests/check_*.c"
                             : !test.reference ? "the operation has no row `ref`"
                                               : "the row takes none of the checker's shapes";
        snprintf(tests[0].name, NAME_SIZE, "%s/%s", sl_op_name(row->op), row->name);
    }
    return n ? n : 1;
}

/* The emulated build repeats only what it emulates. */
static bool wanted(const struct sl_kernel_row *row)
{
#ifdef SL_CHECK_EMULATED
    return row->needs & SL_AVX512;
#else
    return !(row->needs & SL_CUDA);
#endif
}

static size_t list_all(const struct check_area *const *areas, size_t count, struct check_test *tests)
{
    size_t n = 0;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (wanted(row))
            n += list_row(row, find_op(row->op, areas, count), tests ? tests + n : NULL);
    }
    return n;
}

int check_main(int argc, char **argv, const struct check_area *const *areas, size_t count)
{
    const char *wish = getenv("SL_CHECK_SEED");
    if (wish)
        seed = strtoull(wish, NULL, 0);
    fprintf(stderr, "SL_CHECK_SEED=%llu, instructions: %s\n", (unsigned long long)seed, sl_isa_text(runnable_isa()));
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const size_t n = list_all(areas, count, NULL);
    struct check_test *tests = calloc(n + 1, sizeof *tests);
    struct CMUnitTest *units = calloc(n + 1, sizeof *units);
    int failures = 1;
    if (tests && units) {
        list_all(areas, count, tests);
        for (size_t i = 0; i < n; i++)
            units[i] = (struct CMUnitTest){tests[i].name, check_row, NULL, release, &tests[i]};
        failures = _cmocka_run_group_tests("kernels", units, n, NULL, NULL);
    }
    free(units);
    free(tests);
    return failures;
}
