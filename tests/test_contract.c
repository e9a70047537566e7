/* A kernel that is run against its contract stops at its entrance, where assertions are built in. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "kernels/step/step.h"
#include "tests/check.h"

enum { FLOATS = 4096 };

static const struct sl_conv2d conv = {1, 4, 4, 16, 16, 1, 1, 1, 1, 0, 0, 4, 4, 16, 16, SL_ELEMENT_F32};
static const struct sl_norm norm = {1, 4, 4, 16, 16, 2, 0.1f, SL_ELEMENT_F32};
static const struct sl_pool pool = {1, 4, 4, 16, 16, 2, 2, 2, 2, 0, 0, 2, 2, SL_ELEMENT_F32};
static const struct sl_softmax softmax = {2, 16, 16, SL_ELEMENT_F32};
static const struct sl_optimizer parameters = {64, SL_ELEMENT_F32};

static _Alignas(64) float memory[4][FLOATS];

/* Runs it in a process of its own, with a state for the shape. Does that process abort? */
static bool stops(const struct sl_kernel *kernel, const void *shape, const void *args, struct sl_work work)
{
    static _Alignas(64) unsigned char state[4096];
#ifdef NDEBUG
    skip();
#endif
    if (kernel->open)
        assert_int_equal(kernel->open(shape, NULL, state), SL_OK);
    work.state = state;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL}; /* which cmocka would catch */
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
            signal(crashes[i], SIG_DFL);
        close(STDERR_FILENO);
        kernel->run(shape, args, &work);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    const bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    assert_true(aborted || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return aborted;
}

/* The best row that takes the shape, and what it needs. */
static const struct sl_kernel *best(enum sl_op op, const void *shape, struct sl_need *need)
{
    size_t r = 0;
    while (!sl_row_takes(&sl_kernel_rows[r], op, shape, sl_isa(), need))
        r++;
    return sl_kernel_rows[r].kernel;
}

/* The row on the first of its operation's shapes that it takes; false if it takes none here. */
static bool set_up(const struct sl_kernel_row *row, struct check_case *c)
{
    const struct check_op *op = check_find_op(row->op);
    assert_non_null(op);
    for (size_t i = 0; !(row->needs & ~sl_isa()) && i < op->shapes; i++) {
        *c = (struct check_case){.seed = 1};
        if (check_set_up_at(c, op, i, row))
            return true;
        check_release(c);
    }
    return false;
}

static void every_row_stops_at_a_slice_that_is_none(void **state)
{
    (void)state;
    for (size_t r = 0; r < sl_kernel_row_count; r++) {
        struct check_case c;
        const struct sl_kernel_row *row = &sl_kernel_rows[r];
        if (!set_up(row, &c))
            continue;
        const int64_t beyond = c.need.units + 1;
        const struct sl_work backwards = {.begin = 1, .end = 0, .scratch = c.scratch};
        const struct sl_work outside = {.begin = beyond, .end = beyond, .scratch = c.scratch};
        const bool stopped =
            stops(row->kernel, c.shape, c.args.bytes, backwards) && stops(row->kernel, c.shape, c.args.bytes, outside);
        check_release(&c);
        if (!stopped)
            fail_msg("%s took a slice that is none", row->symbol);
    }
}

/* The first unit. */
static struct sl_work unit_with(void *scratch)
{
    return (struct sl_work){.begin = 0, .end = 1, .scratch = scratch};
}

static void scratch_must_be_there_and_aligned(void **state)
{
    (void)state;
    struct sl_need weights_need, forward_need;
    const struct sl_kernel *weights = best(SL_OP_conv2d_bwd_weights, &conv, &weights_need);
    const struct sl_kernel *forward = best(SL_OP_conv2d_fwd, &conv, &forward_need);
    const struct sl_conv2d_bwd_weights gradient = {memory[0], memory[1], memory[2]};
    const struct sl_conv2d_fwd args = {.x = memory[0], .weights = memory[1], .slope = 1.0f, .y = memory[2]};
    if (weights_need.scratch == 0 || forward_need.scratch == 0)
        skip();
    assert_true(stops(weights, &conv, &gradient, unit_with(NULL)));
    assert_true(stops(weights, &conv, &gradient, unit_with(&memory[3][1])));
    assert_true(stops(forward, &conv, &args, unit_with(NULL)));
    assert_false(stops(forward, &conv, &args, unit_with(memory[3])));
}

static void a_convolution_does_not_write_over_what_it_reads(void **state)
{
    (void)state;
    struct sl_need need;
    const struct sl_work all = unit_with(memory[3]);
    const struct sl_conv2d_fwd forward = {.x = memory[0], .weights = memory[1], .slope = 1.0f, .y = memory[0] + 255};
    const struct sl_pool_fwd pooled = {memory[0], memory[0] + 255};
    assert_true(stops(best(SL_OP_conv2d_fwd, &conv, &need), &conv, &forward, all));
    assert_true(stops(&sl_conv2d_fwd_ref, &conv, &forward, all));
    assert_true(stops(best(SL_OP_pool_max_fwd, &pool, &need), &pool, &pooled, all));
}

static void shapes_labels_and_state_are_looked_at(void **state)
{
    (void)state;
    struct sl_need need;
    const struct sl_work all = unit_with(memory[3]);
    struct sl_conv2d wide = conv;
    wide.c = wide.xs = SL_MAX_LENGTH + 1;
    const struct sl_bias_bwd bias = {memory[0], memory[1]};
    assert_true(stops(&sl_bias_bwd_ref, &wide, &bias, all));
    struct sl_norm narrow = norm;
    narrow.c = narrow.xs = 10;
    const struct sl_norm_moments moments = {memory[0], memory[1]};
    if (sl_isa() != SL_CPU)
        assert_true(stops(best(SL_OP_norm_moments, &norm, &need), &narrow, &moments, all));
    const int32_t labels[2] = {16, 0};
    const struct sl_softmax_nll_bwd loss = {memory[0], labels, 1.0f, memory[1]};
    assert_true(stops(best(SL_OP_softmax_nll_bwd, &softmax, &need), &softmax, &loss, all));
    const struct sl_now now = {.rate = 1e-3f};
    const struct sl_optimizer_step step = {.w = memory[0], .g = memory[1], .m = memory[2], .now = &now};
    assert_true(stops(best(SL_OP_adam_step, &parameters, &need), &parameters, &step, all));
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
