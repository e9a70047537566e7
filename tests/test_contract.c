/* A kernel that is run against its contract stops at its entrance, where assertions are built in. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/activation/activation.h"
#include "kernels/conv/conv.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "kernels/step/step.h"

enum { FLOATS = 4096 };

static const struct sl_conv2d conv = {1, 4, 4, 16, 16, 1, 1, 1, 1, 0, 0, 4, 4, 16, 16, SL_ELEMENT_F32};
static const struct sl_norm norm = {1, 4, 4, 16, 16, 2, 0.1f, SL_ELEMENT_F32};
static const struct sl_pool pool = {1, 4, 4, 16, 16, 2, 2, 2, 2, 0, 0, 2, 2, SL_ELEMENT_F32};
static const struct sl_leaky_relu relu = {64, 0.1f, SL_ELEMENT_F32};
static const struct sl_softmax softmax = {2, 16, 16, SL_ELEMENT_F32};
static const struct sl_flat flat = {64, SL_ELEMENT_F32};
static const struct sl_channels channels = {4, 16, 16, 0, 16, 0, false, SL_ELEMENT_F32};
static const struct sl_dropout_shape dropout = {64, 0.5f, SL_ELEMENT_F32};
static const struct sl_optimizer parameters = {64, SL_ELEMENT_F32};
static const struct sl_judge_shape judged = {2, 1, 1, SL_ELEMENT_F32};
static const struct sl_image image = {8, 8, 8, 8, 1, SL_ELEMENT_F32};

static _Alignas(64) float memory[4][FLOATS];

static const void *shape_of(enum sl_op op)
{
    static const void *const shapes[SL_OP_COUNT] = {
        [SL_OP_conv2d_fwd] = &conv,
        [SL_OP_conv2d_bwd_data] = &conv,
        [SL_OP_conv2d_bwd_weights] = &conv,
        [SL_OP_bias_bwd] = &conv,
        [SL_OP_conv2d_fold] = &conv,
        [SL_OP_norm_moments] = &norm,
        [SL_OP_norm_join] = &norm,
        [SL_OP_norm_scale] = &norm,
        [SL_OP_norm_fwd] = &norm,
        [SL_OP_norm_bwd_reduce] = &norm,
        [SL_OP_norm_bwd_join] = &norm,
        [SL_OP_norm_bwd_apply] = &norm,
        [SL_OP_norm_commit] = &norm,
        [SL_OP_pool_max_fwd] = &pool,
        [SL_OP_pool_max_bwd] = &pool,
        [SL_OP_pool_avg_fwd] = &pool,
        [SL_OP_pool_avg_bwd] = &pool,
        [SL_OP_leaky_relu_fwd] = &relu,
        [SL_OP_leaky_relu_bwd] = &relu,
        [SL_OP_softmax_nll_fwd] = &softmax,
        [SL_OP_softmax_nll_bwd] = &softmax,
        [SL_OP_add_fwd] = &flat,
        [SL_OP_accumulate] = &flat,
        [SL_OP_channel_copy] = &channels,
        [SL_OP_dropout] = &dropout,
        [SL_OP_sgd_step] = &parameters,
        [SL_OP_adam_step] = &parameters,
        [SL_OP_amsgrad_step] = &parameters,
        [SL_OP_subtract] = &parameters,
        [SL_OP_sum_squares] = &flat,
        [SL_OP_judge] = &judged,
        [SL_OP_image_to_float] = &image,
    };
    return shapes[op];
}

/* Runs it in a process of its own. Does that process abort? */
static bool stops(const struct sl_kernel *kernel, const void *shape, const void *args, struct sl_work work)
{
#ifdef NDEBUG
    skip();
#endif
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO);
        kernel->run(shape, args, &work);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* The best row that takes the operation's shape, and what it needs. */
static const struct sl_kernel *best(enum sl_op op, struct sl_need *need)
{
    size_t r = 0;
    while (!sl_row_takes(&sl_kernel_rows[r], op, shape_of(op), sl_isa(), need))
        r++;
    return sl_kernel_rows[r].kernel;
}

static void every_row_stops_at_a_slice_that_is_none(void **state)
{
    (void)state;
    for (size_t r = 0; r < sl_kernel_row_count; r++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[r];
        struct sl_need need;
        const void *shape = shape_of(row->op);
        assert_non_null(shape);
        if (!sl_row_takes(row, row->op, shape, sl_isa(), &need))
            continue;
        /* What a slice of nothing reads of its arguments is only where they are. */
        float *args[16] = {memory[0], memory[1], memory[2], memory[3], memory[1], memory[2], memory[3], memory[1]};
        const struct sl_work backwards = {.begin = 1, .end = 0, .scratch = memory[3], .state = memory[2]};
        const struct sl_work beyond = {
            .begin = need.units + 1, .end = need.units + 1, .scratch = memory[3], .state = memory[2]};
        if (!stops(row->kernel, shape, args, backwards) || !stops(row->kernel, shape, args, beyond))
            fail_msg("%s took a slice that is none", row->symbol);
    }
}

static struct sl_work slice_with(void *scratch)
{
    return (struct sl_work){.begin = 0, .end = 1, .scratch = scratch, .state = memory[2]};
}

static void scratch_must_be_there_and_aligned(void **state)
{
    (void)state;
    struct sl_need weights_need, forward_need;
    const struct sl_kernel *weights = best(SL_OP_conv2d_bwd_weights, &weights_need);
    const struct sl_kernel *forward = best(SL_OP_conv2d_fwd, &forward_need);
    const struct sl_conv2d_bwd_weights gradient = {memory[0], memory[1], memory[2]};
    const struct sl_conv2d_fwd args = {.x = memory[0], .weights = memory[1], .slope = 1.0f, .y = memory[2]};
    if (weights_need.scratch == 0 || forward_need.scratch == 0)
        skip();
    assert_true(stops(weights, &conv, &gradient, slice_with(NULL)));
    assert_true(stops(weights, &conv, &gradient, slice_with(&memory[3][1])));
    assert_true(stops(forward, &conv, &args, slice_with(NULL)));
    assert_false(stops(forward, &conv, &args, slice_with(memory[3])));
}

static void a_convolution_does_not_write_over_what_it_reads(void **state)
{
    (void)state;
    struct sl_need need;
    const struct sl_work all = slice_with(memory[3]);
    const struct sl_conv2d_fwd forward = {.x = memory[0], .weights = memory[1], .slope = 1.0f, .y = memory[0] + 255};
    const struct sl_pool_fwd pooled = {memory[0], memory[0] + 255};
    assert_true(stops(best(SL_OP_conv2d_fwd, &need), &conv, &forward, all));
    assert_true(stops(&sl_conv2d_fwd_ref, &conv, &forward, all));
    assert_true(stops(best(SL_OP_pool_max_fwd, &need), &pool, &pooled, all));
}

static void shapes_labels_and_state_are_looked_at(void **state)
{
    (void)state;
    struct sl_need need;
    const struct sl_work all = slice_with(memory[3]);
    struct sl_conv2d wide = conv;
    wide.c = wide.xs = SL_MAX_LENGTH + 1;
    const struct sl_bias_bwd bias = {memory[0], memory[1]};
    assert_true(stops(&sl_bias_bwd_ref, &wide, &bias, all));
    struct sl_norm narrow = norm;
    narrow.c = narrow.xs = 10;
    const struct sl_norm_moments moments = {memory[0], memory[1]};
    if (sl_isa())
        assert_true(stops(best(SL_OP_norm_moments, &need), &narrow, &moments, all));
    const int32_t labels[2] = {16, 0};
    const struct sl_softmax_nll_bwd loss = {memory[0], labels, 1.0f, memory[1]};
    assert_true(stops(best(SL_OP_softmax_nll_bwd, &need), &softmax, &loss, all));
    const struct sl_now now = {.rate = 1e-3f};
    const struct sl_optimizer_step step = {.w = memory[0], .g = memory[1], .m = memory[2], .now = &now};
    assert_true(stops(best(SL_OP_adam_step, &need), &parameters, &step, all));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_stops_at_a_slice_that_is_none),
        cmocka_unit_test(scratch_must_be_there_and_aligned),
        cmocka_unit_test(a_convolution_does_not_write_over_what_it_reads),
        cmocka_unit_test(shapes_labels_and_state_are_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
