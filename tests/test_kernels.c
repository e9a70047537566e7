/* Every kernel against its reference: names, choice of rows, comparison (tests/check.h). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/check.h"

enum { NAME_SIZE = 128 };

/* One test: a row on a shape. */
struct check_test {
    const struct check_op *op;
    const struct sl_kernel_row *row, *reference; /* the reference of floats, whatever the row's element */
    size_t index;
    char name[NAME_SIZE];
    const char *complaint;      /* why this row cannot be checked, or NULL */
    struct check_case cases[4]; /* here, so that the group's end releases what a failed test left */
};

static uint64_t seed = 1;

static uint32_t runnable_isa(void)
{
#ifdef SL_CHECK_EMULATED
    return sl_isa() | SL_AVX512 | SL_BF16 | SL_AMX;
#else
    return sl_isa();
#endif
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

static size_t numbers(const struct check_buffer *b)
{
    return b->bytes / sl_element_bytes(b->element);
}

/* A bf16 of what the reference says. Half a unit is at most 2^-8 of a normal number; and what is exact is rounded. */
static bool close_in_bf16(float got, float want, struct check_tolerance t)
{
    const float rounded = sl_bf16_to_float(sl_bf16_from_float(want));
    if (t.absolute == 0.0 && t.relative == 0.0 && t.ulp == 0)
        return close_enough(got, rounded, check_exact);
    t.relative += 0x1p-8;
    t.absolute += 0x1p-133;
    return close_enough(got, want, t) || got == rounded;
}

static void compare(const struct check_buffer *got, const struct check_buffer *want)
{
    assert_int_equal(numbers(got), numbers(want));
    for (size_t i = 0; i < numbers(got); i++) {
        const float g = check_get(got, i), w = check_get(want, i);
        if (got->element == SL_ELEMENT_BF16 ? !close_in_bf16(g, w, got->tolerance)
                                            : !close_enough(g, w, got->tolerance))
            fail_msg("%s[%zu] of %zu: %.9g, the reference says %.9g (seed %llu)", got->name, i, numbers(got), g, w,
                     (unsigned long long)seed);
    }
}

static void compare_bits(const struct check_buffer *one, const struct check_buffer *seven)
{
    assert_int_equal(one->bytes, seven->bytes);
    for (size_t i = 0; i < one->bytes; i++)
        if (one->at[i] != seven->at[i])
            fail_msg("%s: byte %zu of %zu depends on the slices", one->name, i, one->bytes);
}

/* Numbers by their bits, -0 apart from 0; which NaN it is, no standard says. */
static bool same_number(float a, float b)
{
    return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b));
}

static void compare_rows(const struct check_buffer *one, const struct check_buffer *other,
                         const struct sl_kernel_row *row)
{
    const bool floats = one->tolerance.ulp >= 0;
    assert_int_equal(one->bytes, other->bytes);
    for (size_t i = 0; i < numbers(one); i++) {
        const float a = check_get(one, i), b = check_get(other, i);
        const size_t bytes = sl_element_bytes(one->element), at = i * bytes;
        if (floats ? !same_number(a, b) : memcmp(one->at + at, other->at + at, bytes) != 0)
            fail_msg("%s[%zu] of %zu: %.9g (%a), which has to equal %.9g (%a) of %s (seed %llu)", one->name, i,
                     numbers(one), a, a, b, b, row->name, (unsigned long long)seed);
    }
}

static void margins_are_whole(const struct check_case *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct check_buffer *b = &c->buffers[i];
        const unsigned char *at = check_margins(b);
        if (at)
            fail_msg("%s: wrote outside, %td bytes from its start (it has %zu)", b->name, at - b->at, b->bytes);
    }
}

static void padding_is_zero(const struct check_buffer *b)
{
    for (int64_t i = 0; i < b->pixels; i++)
        for (int32_t l = b->channels; l < b->stride; l++) {
            const float at = check_get(b, (size_t)(i * b->stride + l));
            if (at != 0.0f)
                fail_msg("%s: padding lane %d of pixel %lld is %g", b->name, l, (long long)i, at);
        }
}

static void run_case(struct check_case *c, const struct check_test *test, const struct sl_kernel_row *row, bool sliced)
{
    const bool rounded = test->row->kernel->element == SL_ELEMENT_BF16;
    *c = (struct check_case){.misaligned = sliced, .sliced = sliced, .rounded = rounded, .seed = seed};
    assert_true(check_set_up_at(c, test->op, test->index, row));
    check_run(c);
    margins_are_whole(c);
    if (test->op->finish)
        test->op->finish(c);
}

/* The plainest of the operation's vector rows of that element that can run here; NULL: there is none. */
static const struct sl_kernel_row *find_plainest(const struct check_test *test)
{
    const struct sl_kernel_row *plainest = NULL;
    const enum sl_element element = test->row->kernel->element;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (row->op == test->op->op && row->kernel->element == element && row->needs != SL_CPU &&
            !(row->needs & ~runnable_isa()) && check_takes(test->op, test->index, row))
            plainest = row;
    }
    return plainest;
}

/* Against the row whose every bit this one has to have. */
static void compare_twin(struct check_test *test, const struct check_case *want, const struct check_case *got)
{
    const struct sl_kernel_row *own = check_find_reference(test->op->op, test->row->kernel->element);
    const struct sl_kernel_row *row = test->op->bits == CHECK_ALL_EQUAL ? own : find_plainest(test);
    if (test->op->bits == CHECK_CLOSE || test->row == own || test->row == row)
        return;
    if (row != test->reference) {
        run_case(&test->cases[3], test, row, false);
        want = &test->cases[3];
    }
    for (int i = 0; i < got->count; i++)
        if (got->buffers[i].is_output)
            compare_rows(&got->buffers[i], &want->buffers[i], row);
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
    compare_twin(test, want, got);
}

static int release(void **state)
{
    struct check_test *test = *state;
    for (size_t i = 0; i < sizeof test->cases / sizeof *test->cases; i++)
        check_release(&test->cases[i]);
    return 0;
}

/* Appends the tests of one row to `tests` (NULL: only counts them). A row without any gets one that fails. */
static size_t list_row(const struct sl_kernel_row *row, struct check_test *tests)
{
    size_t n = 0;
    const struct check_op *op = check_find_op(row->op);
    const struct check_test test = {.op = op, .row = row, .reference = check_find_reference(row->op, SL_ELEMENT_F32)};
    const bool last = check_find_reference(row->op, row->kernel->element);
    for (size_t i = 0; op && op->measured && test.reference && last && i < op->shapes; i++) {
        char name[NAME_SIZE];
        op->shape(i, name, sizeof name);
        /* need() itself is compiled for the row's instructions; a row that cannot run is listed and skipped. */
        const bool runs = !(row->needs & ~runnable_isa());
        if (runs && !check_takes(op, i, row))
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
                             : !op->measured   ? "no shape of the operation is measured: add one behind those to check"
                             : !test.reference ? "the operation has no reference of floats"
                             : !last           ? "the last row of this element needs more than any processor has"
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

static size_t list_all(struct check_test *tests)
{
    size_t n = 0;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (wanted(row))
            n += list_row(row, tests ? tests + n : NULL);
    }
    return n;
}

/* argv[1], if given, is a pattern of names (`*` and `?`); SL_CHECK_SEED chooses the contents. */
int main(int argc, char **argv)
{
    const char *wish = getenv("SL_CHECK_SEED");
    if (wish)
        seed = strtoull(wish, NULL, 0);
    fprintf(stderr, "SL_CHECK_SEED=%llu, instructions: %s\n", (unsigned long long)seed, sl_isa_text(runnable_isa()));
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    const size_t n = list_all(NULL);
    struct check_test *tests = calloc(n + 1, sizeof *tests);
    struct CMUnitTest *units = calloc(n + 1, sizeof *units);
    int failures = 1;
    if (tests && units) {
        list_all(tests);
        for (size_t i = 0; i < n; i++)
            units[i] = (struct CMUnitTest){tests[i].name, check_row, NULL, release, &tests[i]};
        failures = _cmocka_run_group_tests("kernels", units, n, NULL, NULL);
    }
    free(units);
    free(tests);
    return failures;
}
