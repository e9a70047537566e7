/* Rows of cuDNN over a library that is none (tests/fake/fake_cudnn.c): whatever fails leads to the next row and leaves
 * nothing behind; engines are judged by their notes. That what cuDNN is asked for is the convolution, the checker says:
 * the fake computes. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/rows.h"
#include "kernels/launch.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "tests/fake/fake_cudnn.h"

static struct fake_cudnn *fake;

static const struct sl_conv2d shape = {.n = 2,
                                       .h = 5,
                                       .w = 5,
                                       .c = 3,
                                       .k = 4,
                                       .kh = 3,
                                       .kw = 3,
                                       .stride_h = 1,
                                       .stride_w = 1,
                                       .pad_top = 1,
                                       .pad_left = 1,
                                       .oh = 5,
                                       .ow = 5,
                                       .xs = 16,
                                       .ys = 16};

static int reset(void **state)
{
    (void)state;
    *fake = (struct fake_cudnn){.mode = SL_CUDNN_HEUR_MODE_A, .first_engine = FAKE_CUDNN_ENGINE};
    setenv("SL_KERNEL", "conv2d_fwd:plain_cudnn,conv2d_bwd_weights:tf32_cudnn", 1);
    return 0;
}

/* The row that is chosen with these instruction sets; the choice is closed again, and nothing is left of it. */
static const char *choose_at(uint32_t isa, enum sl_op op, const struct sl_conv2d *at)
{
    const struct sl_device device = {.name = "fake", .isa = isa, .rows = sl_cuda_rows, .row_count = sl_cuda_row_count};
    struct sl_choice choice;
    assert_int_equal(sl_choose(&device, op, at, &choice), SL_OK);
    const char *name = sl_choice_row(&choice)->name;
    sl_choice_close(&choice);
    assert_int_equal(fake->descriptors, 0);
    assert_int_equal(fake->handles, 0);
    return name;
}

static const char *choose(uint32_t isa, enum sl_op op)
{
    return choose_at(isa, op, &shape);
}

static void test_without_the_library_rows_are_missing(void **state)
{
    (void)state;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cudnn");
    assert_true(fake->calls > 0);
    fake->calls = 0;
    assert_string_equal(choose(SL_CUDA, SL_OP_conv2d_fwd), "plain_cuda");
    assert_int_equal(fake->calls, 0);
    unsetenv("SL_KERNEL"); /* our own come first */
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cuda");
}

/* A handle; three tensors, the window, the operation and the graph, each created, told and finalized; heuristics. */
static void test_the_order_of_calls(void **state)
{
    static const char order[] = "h"
                                "caaaaaf"
                                "caaaaaf"
                                "caaaaaf"
                                "caaaaaaaf"
                                "caaaaaaf"
                                "caaf"
                                "caaf";
    (void)state;
    choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd);
    fake->trace[sizeof order - 1] = '\0';
    assert_string_equal(fake->trace, order);
}

/* The operations that cuDNN has rows for, one shape of each. */
static const struct sl_pool pool = {2, 4, 4, 3, 16, 2, 2, 2, 2, 0, 0, 2, 2, SL_ELEMENT_F32};
static const struct sl_norm norm = {2, 4, 4, 3, 16, 2, 0.1f, SL_ELEMENT_F32};
static const struct sl_softmax softmax = {2, 10, 16, SL_ELEMENT_F32};
static const struct {
    enum sl_op op;
    const void *shape;
} operations[] = {{SL_OP_conv2d_fwd, &shape},       {SL_OP_conv2d_bwd_data, &shape}, {SL_OP_conv2d_bwd_weights, &shape},
                  {SL_OP_pool_max_fwd, &pool},      {SL_OP_pool_max_bwd, &pool},     {SL_OP_pool_avg_fwd, &pool},
                  {SL_OP_pool_avg_bwd, &pool},      {SL_OP_norm_moments, &norm},     {SL_OP_norm_bwd_reduce, &norm},
                  {SL_OP_softmax_nll_fwd, &softmax}};
enum { OPERATIONS = sizeof operations / sizeof *operations };

/* Is a row of cuDNN taken, where one is wished for? */
static bool takes_cudnn(enum sl_op op, const void *at)
{
    const struct sl_device device = {
        .name = "fake", .isa = SL_CUDA | SL_CUDNN, .rows = sl_cuda_rows, .row_count = sl_cuda_row_count};
    const struct sl_wish wish = {.among = SL_AMONG_CUDNN, .quiet = true};
    struct sl_choice choice;
    unsetenv("SL_KERNEL");
    assert_int_equal(sl_choose_as(&device, op, at, &wish, &choice), SL_OK);
    const bool takes = sl_choice_row(&choice)->needs & SL_CUDNN;
    sl_choice_close(&choice);
    assert_int_equal(fake->descriptors, 0);
    assert_int_equal(fake->handles, 0);
    return takes;
}

/* A call that asks for one engine's notes only loses that engine, so that B or FALLBACK may still be asked; nobody has
 * an answer there. */
static void test_every_failure_leads_to_another_row(void **state)
{
    (void)state;
    for (int k = 0; k < OPERATIONS; k++) {
        reset(NULL);
        assert_true(takes_cudnn(operations[k].op, operations[k].shape));
        const int calls = fake->calls;
        for (int i = 1; i <= calls; i++) {
            reset(NULL);
            fake->fail_at = i;
            assert_false(takes_cudnn(operations[k].op, operations[k].shape));
            assert_true(fake->calls >= i);
        }
    }
}

/* Every operation that has rows of cuDNN stands above. */
static void test_no_row_is_forgotten(void **state)
{
    (void)state;
    for (size_t i = 0; i < sl_cuda_row_count; i++) {
        bool listed = !(sl_cuda_rows[i].needs & SL_CUDNN);
        for (int k = 0; k < OPERATIONS; k++)
            listed |= operations[k].op == sl_cuda_rows[i].op;
        assert_true(listed);
        assert_int_equal(sl_cuda_rows[i].kernel->refuses, (sl_cuda_rows[i].needs & SL_CUDNN) != 0);
    }
}

static void test_engines_are_judged_by_their_notes(void **state)
{
    static const int32_t bad[] = {SL_CUDNN_NOTE_NONDETERMINISTIC,
                                  SL_CUDNN_NOTE_WINOGRAD,
                                  SL_CUDNN_NOTE_FFT,
                                  SL_CUDNN_NOTE_REDUCED_PRECISION_REDUCTION,
                                  SL_CUDNN_NOTE_DOWN_CONVERT_INPUTS,
                                  SL_CUDNN_NOTE_TENSOR_CORE};
    (void)state;
    memcpy(fake->notes, bad, sizeof bad);
    fake->note_count = 6;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cudnn");
    assert_int_equal(fake->chosen, 6);
    choose(SL_CUDA | SL_CUDNN | SL_TF32, SL_OP_conv2d_bwd_weights);
    assert_int_equal(fake->chosen, 5); /* tensor cores */
}

/* Of the weights' gradient the first, and with uneven padding the second as well. */
static void test_engines_that_were_found_wrong_are_passed_over(void **state)
{
    const uint32_t isa = SL_CUDA | SL_CUDNN | SL_TF32;
    struct sl_conv2d uneven = shape;
    (void)state;
    uneven.kh = uneven.kw = 2;
    uneven.pad_top = uneven.pad_left = 0;
    fake->first_engine = 0;
    fake->note_count = 2;
    fake->notes[0] = fake->notes[1] = SL_CUDNN_NOTE_TENSOR_CORE + 100;
    assert_string_equal(choose(isa, SL_OP_conv2d_bwd_weights), "tf32_cudnn");
    assert_int_equal(fake->chosen, 1);
    assert_string_equal(choose_at(isa, SL_OP_conv2d_bwd_weights, &uneven), "tf32_cudnn");
    assert_int_equal(fake->chosen, 2);
    assert_string_equal(choose_at(isa, SL_OP_conv2d_fwd, &uneven), "plain_cudnn");
    assert_int_equal(fake->chosen, 0);
}

/* What the plan of the chosen row works with is what its launches ask for. */
static void test_scratch_is_the_plans_own(void **state)
{
    const struct sl_device device = {.name = "fake",
                                     .isa = SL_CUDA | SL_CUDNN,
                                     .memory = 80000,
                                     .rows = sl_cuda_rows,
                                     .row_count = sl_cuda_row_count};
    struct sl_choice choice;
    (void)state;
    fake->workspace = 10000;
    assert_int_equal(sl_choose(&device, SL_OP_conv2d_fwd, &shape, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, "plain_cudnn");
    assert_int_equal(sl_choice_need(&choice)->scratch, 10000);
    sl_choice_close(&choice);
    fake->workspace = 10001; /* more than an eighth of the memory */
    assert_int_equal(sl_choose(&device, SL_OP_conv2d_fwd, &shape, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, "plain_cuda");
    sl_choice_close(&choice);
}

static void test_plans_that_do_not_fit_are_passed_over(void **state)
{
    (void)state;
    fake->refused_plans = 1;
    fake->note_count = 1;
    fake->notes[0] = SL_CUDNN_NOTE_TENSOR_CORE + 100;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cudnn");
    assert_int_equal(fake->chosen, 1);
    fake->workspace = (int64_t)1 << 40;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cuda");
    fake->workspace = 0;
    fake->mode = SL_CUDNN_HEUR_MODE_FALLBACK;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cudnn");
    fake->mode = -1;
    assert_string_equal(choose(SL_CUDA | SL_CUDNN, SL_OP_conv2d_fwd), "plain_cuda");
}

static void test_a_run_that_fails_is_noted_once(void **state)
{
    (void)state;
    assert_int_equal(sl_cudnn_noted(), SL_OK);
    sl_cudnn_note(3000);
    sl_cudnn_note(0);
    assert_int_equal(sl_cudnn_noted(), SL_UNAVAILABLE);
    assert_non_null(strstr(sl_last_error(), "run a plan: FAKE_FAILURE"));
    assert_int_equal(sl_cudnn_noted(), SL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_the_library_rows_are_missing, reset),
        cmocka_unit_test_setup(test_the_order_of_calls, reset),
        cmocka_unit_test_setup(test_every_failure_leads_to_another_row, reset),
        cmocka_unit_test_setup(test_no_row_is_forgotten, reset),
        cmocka_unit_test_setup(test_engines_are_judged_by_their_notes, reset),
        cmocka_unit_test_setup(test_engines_that_were_found_wrong_are_passed_over, reset),
        cmocka_unit_test_setup(test_scratch_is_the_plans_own, reset),
        cmocka_unit_test_setup(test_plans_that_do_not_fit_are_passed_over, reset),
        cmocka_unit_test_setup(test_a_run_that_fails_is_noted_once, reset),
    };
    void *library = dlopen(SL_FAKE_CUDNN, RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "fake_cudnn_state") : NULL;
    fake_cudnn_state_fn *state;
    setenv("SL_CUDNN_PATH", SL_FAKE_CUDNN, 1);
    if (!symbol || !sl_cudnn_load(sl_fail))
        return 1;
    memcpy(&state, &symbol, sizeof state);
    fake = state();
    return cmocka_run_group_tests_name("cudnn", tests, NULL, NULL);
}
