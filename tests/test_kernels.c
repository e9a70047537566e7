/* Every kernel against its reference: names, choice of rows, comparison (tests/check.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/norm/norm.h"
#include "tests/check_trial.h"
#ifdef SL_CHECK_CUDA
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/emulated_order.h"
#include "kernels/cuda/rows.h"
#endif

enum { NAME_SIZE = 128 };

/* One test: a row on a shape. */
struct check_test {
    struct check_trial trial;
    char name[NAME_SIZE];
    const char *complaint; /* why this row cannot be checked, or NULL */
};

static uint64_t seed = 1;

/* The rows to check: the library's, or those of a GPU, which run in emulated blocks. */
static const struct sl_kernel_row *all_rows(size_t *count)
{
#ifdef SL_CHECK_CUDA
    *count = sl_cuda_row_count;
    return sl_cuda_rows;
#else
    *count = sl_kernel_row_count;
    return sl_kernel_rows;
#endif
}

/* Emulated vectors and threads take their time, and so do sanitizers: unless SL_CHECK_LONG is set, convolutions have at
 * most so many operations, the gradients of weights more where they need many pixels to be cut in parts. What is so
 * large that it passes the caches is for rows that run on a processor with caches. */
#if defined SL_CHECK_CUDA
enum { MOST = 400000, MOST_OF_WEIGHTS = MOST, PASSES_CACHES = false };
#elif defined SL_CHECK_EMULATED
enum { MOST = 7000000, MOST_OF_WEIGHTS = 20000000, PASSES_CACHES = false };
#elif defined __SANITIZE_ADDRESS__
enum { MOST = 20000000, MOST_OF_WEIGHTS = MOST, PASSES_CACHES = true };
#else
enum { MOST = INT32_MAX, MOST_OF_WEIGHTS = MOST, PASSES_CACHES = true };
#endif

static bool wants_shape(const struct check_op *op, size_t index)
{
    const void *shape = op->shape(index, NULL, 0);
    const struct sl_norm *norm = shape;
    if (getenv("SL_CHECK_LONG"))
        return true;
    switch (op->op) {
    case SL_OP_conv2d_fwd:
    case SL_OP_conv2d_pool_fwd:
    case SL_OP_conv2d_bwd_data:
        return sl_conv2d_flops(shape) < MOST;
    case SL_OP_conv2d_bwd_weights:
        return sl_conv2d_flops(shape) < MOST_OF_WEIGHTS && (PASSES_CACHES || sl_conv2d_weights(shape) < 1 << 20);
    case SL_OP_norm_fwd:
        return PASSES_CACHES || (double)norm->n * norm->h * norm->w < 65536.0;
    default:
        return true;
    }
}

static uint32_t runnable_isa(void)
{
#ifdef SL_CHECK_CUDA
    /* Only over a fake that computes on the processor: cuDNN itself wants the memory of a GPU. */
    const bool fake = getenv("SL_CUDNN_PATH") && sl_cudnn_load(sl_fail);
    return sl_isa() | SL_CUDA | SL_WGMMA | SL_TF32 | (fake ? SL_CUDNN : 0u);
#elif defined SL_CHECK_EMULATED
    return sl_isa() | SL_AVX512 | SL_BF16 | SL_AMX;
#else
    return sl_isa();
#endif
}

/* Other ways to run a row, which change no bit. A processor's has seven slices and other alignments; a GPU's threads
 * run in another order. */
static const char *ready_way(unsigned i, bool *sliced)
{
#ifdef SL_CHECK_CUDA
#ifdef __SANITIZE_ADDRESS__ /* looks at memory, of which every order touches the same */
    const unsigned few = 1;
#else
    const unsigned few = 3;
#endif
    static const unsigned orders[] = {0, 3, 4, 1, 2, 5};
    const unsigned count = getenv("SL_CHECK_LONG") ? sizeof orders / sizeof *orders : few;
    sl_emulated_set_order(i < count ? orders[i] : 0);
    *sliced = false;
    return i < count ? "the order of threads" : NULL;
#else
    *sliced = true;
    return i == 1 ? "the slices" : NULL;
#endif
}

static void check_row(void **state)
{
    struct check_test *test = *state;
    if (test->complaint)
        fail_msg("%s", test->complaint);
    const uint32_t needs = test->trial.row->needs;
    if (needs & ~runnable_isa()) {
        print_message("%s: needs %s\n", test->name, sl_isa_text(needs));
        skip();
    }
    const char *wrong = check_trial_run(&test->trial);
    if (wrong)
        fail_msg("%s (seed %llu)", wrong, (unsigned long long)seed);
}

static int release(void **state)
{
    check_trial_release(&((struct check_test *)*state)->trial);
    return 0;
}

/* Appends the tests of one row to `tests` (NULL: only counts them). A row without any gets one that fails. */
static size_t list_row(const struct sl_kernel_row *row, struct check_test *tests)
{
    size_t n = 0;
    const struct check_op *op = check_find_op(row->op);
    const struct check_test test = {.trial = {.op = op,
                                              .row = row,
                                              .reference = check_find_reference(row->op, SL_ELEMENT_F32),
                                              .seed = seed,
                                              .isa = runnable_isa(),
                                              .ready_way = ready_way}};
    const bool last = check_find_reference(row->op, row->kernel->element);
    for (size_t i = 0; op && op->measured && test.trial.reference && last && i < op->shapes; i++) {
        char name[NAME_SIZE];
        op->shape(i, name, sizeof name);
        /* need() itself is compiled for the row's instructions; a row that cannot run is listed and skipped. */
        const bool runs = !(row->needs & ~runnable_isa());
        if (!wants_shape(op, i) || (runs && !check_takes(op, i, row)))
            continue;
        if (tests) {
            tests[n] = test;
            tests[n].trial.index = i;
            snprintf(tests[n].name, NAME_SIZE, "%s/%s/%.80s", sl_op_name(row->op), row->name, name);
        }
        n++;
    }
    if (n == 0 && tests) {
        tests[0] = test;
        tests[0].complaint = !op             ? "no checker knows this operation: add one to tests/check_*.c"
                             : !op->measured ? "no shape of the operation is measured: add one behind those to check"
                             : !test.trial.reference ? "the operation has no reference of floats"
                             : !last                 ? "the last row of this element needs more than any processor has"
                                                     : "the row takes none of the checker's shapes";
        snprintf(tests[0].name, NAME_SIZE, "%s/%s", sl_op_name(row->op), row->name);
    }
    return n ? n : 1;
}

/* The emulated build repeats only what it emulates. */
static bool wants_row(const struct sl_kernel_row *row)
{
#ifdef SL_CHECK_EMULATED
    return row->needs & SL_AVX512;
#else
    (void)row;
    return true;
#endif
}

static size_t list_all(struct check_test *tests)
{
    size_t n = 0, count;
    const struct sl_kernel_row *rows = all_rows(&count);
    for (size_t i = 0; i < count; i++) {
        const struct sl_kernel_row *row = &rows[i];
        if (wants_row(row))
            n += list_row(row, tests ? tests + n : NULL);
    }
    return n;
}

/* By operation, shape and row: the rows of a shape share its reference. */
static int compare_tests(const void *a, const void *b)
{
    const struct check_trial *x = &((const struct check_test *)a)->trial, *y = &((const struct check_test *)b)->trial;
    if (x->row->op != y->row->op)
        return x->row->op < y->row->op ? -1 : 1;
    if (x->index != y->index)
        return x->index < y->index ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
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
        qsort(tests, n, sizeof *tests, compare_tests);
        for (size_t i = 0; i < n; i++)
            units[i] = (struct CMUnitTest){tests[i].name, check_row, NULL, release, &tests[i]};
        failures = _cmocka_run_group_tests("kernels", units, n, NULL, NULL);
    }
    free(units);
    free(tests);
    return failures;
}
