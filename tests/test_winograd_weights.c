/* What the rows of Winograd's backward-weights promise beyond the checker: the errors of each form, bits that no cut
 * into slices changes, work that balances, and scratch that is bounded. */
#include "tests/conv_rows.h"

#include "kernels/conv/winograd.h"

static const char *const names[] = {"winograd_avx512", "winograd_avx2"};
enum { NAMES = sizeof names / sizeof *names };

/* As the launch cuts it for so many threads. */
static void run_in(const struct launch *l, const struct sl_conv2d_bwd_weights *a, int64_t threads)
{
    const int64_t units = l->need.units, slices = threads < units ? threads : units;
    for (int64_t i = slices - 1; i >= 0; i--) {
        memset(l->scratch, 0xff, l->need.scratch);
        l->row->kernel->run(&l->shape, a,
                            &(struct sl_work){.begin = units * i / slices,
                                              .end = units * (i + 1) / slices,
                                              .scratch = l->scratch,
                                              .state = l->state});
    }
}

static float *gradient(const struct sl_kernel_row *row, const struct sl_conv2d *s, int64_t threads)
{
    struct launch l;
    open_launch(&l, row, s, NULL);
    const size_t weights = sl_conv2d_weights(s), room = (size_t)(l.need.parts ? l.need.parts : 1) * weights;
    float *x = draw(sl_conv2d_inputs(s), 0), *dy = draw(sl_conv2d_outputs(s), 1), *dw = take(room);
    run_in(&l, &(struct sl_conv2d_bwd_weights){x, dy, dw}, threads);
    add_parts(dw, weights, l.need.parts);
    close_launch(&l);
    free(dy);
    free(x);
    return dw;
}

static void errors_are_those_of_the_form(void **state)
{
    (void)state;
    static const struct {
        enum sl_winograd form;
        struct sl_conv2d shape;
        struct error stated;
    } cases[] = {
        {SL_WINOGRAD_4_2, {8, 16, 16, 32, 32, 2, 2, 1, 1, 0, 0, 16, 16, 32, 32, SL_ELEMENT_F32}, {9.0e-7, 8.2e-6}},
        {SL_WINOGRAD_3_2, {64, 6, 6, 32, 32, 2, 2, 1, 1, 0, 0, 6, 6, 32, 32, SL_ELEMENT_F32}, {2.2e-7, 1.3e-6}},
        {SL_WINOGRAD_4_3, {8, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1, 16, 16, 32, 32, SL_ELEMENT_F32}, {1.6e-6, 1.2e-5}},
        {SL_WINOGRAD_2_3, {64, 6, 6, 32, 32, 3, 3, 1, 1, 1, 1, 6, 6, 32, 32, SL_ELEMENT_F32}, {2.5e-7, 1.5e-6}},
    };
    const struct sl_kernel_row *reference = find_row(SL_OP_conv2d_bwd_weights, "ref");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sl_conv2d *s = &cases[i].shape;
        assert_int_equal(sl_winograd_choose(s->kh, s->oh, s->ow), cases[i].form);
        float *want = gradient(reference, s, 1);
        for (int n = 0; n < NAMES; n++) {
            const struct sl_kernel_row *row = find_row(SL_OP_conv2d_bwd_weights, names[n]);
            if (!runs(row))
                continue;
            float *got = gradient(row, s, 1);
            error_is_that_of_the_form(row, i, error_of(got, want, sl_conv2d_weights(s)), cases[i].stated);
            free(got);
        }
        free(want);
    }
}

/* Areas of all kinds: pieces of a row of cells, whole rows, one cell; panels of 16, 32 and 64 input channels; one part
 * of the sum, and several. */
static void no_cut_changes_a_bit(void **state)
{
    (void)state;
    static const struct sl_conv2d shapes[] = {
        {3, 17, 9, 80, 48, 2, 2, 1, 1, 0, 0, 17, 9, 80, 48, SL_ELEMENT_F32},
        {2, 19, 13, 64, 96, 3, 3, 1, 1, 1, 1, 19, 13, 80, 112, SL_ELEMENT_F32},
        {3, 62, 73, 32, 16, 2, 2, 1, 1, 0, 0, 62, 73, 32, 16, SL_ELEMENT_F32},
    };
    for (int n = 0; n < NAMES; n++) {
        const struct sl_kernel_row *row = find_row(SL_OP_conv2d_bwd_weights, names[n]);
        for (size_t i = 0; runs(row) && i < sizeof shapes / sizeof *shapes; i++) {
            float *one = gradient(row, &shapes[i], 1);
            for (int64_t threads = 2; threads <= 64; threads++) {
                float *many = gradient(row, &shapes[i], threads);
                assert_memory_equal(one, many, sl_conv2d_weights(&shapes[i]) * sizeof *one);
                free(many);
            }
            free(one);
        }
    }
}

/* The layers of the default network: 64 units, some of them parts of the sum, the others cells. */
static void layers_have_units_enough_and_scratch_is_bounded(void **state)
{
    (void)state;
    static const struct {
        struct sl_conv2d shape;
        int64_t parts;
    } layers[] = {
        {{32, 64, 64, 32, 64, 3, 3, 1, 1, 1, 1, 64, 64, 32, 64, SL_ELEMENT_F32}, 32},
        {{32, 32, 32, 64, 128, 2, 2, 1, 1, 0, 0, 32, 32, 64, 128, SL_ELEMENT_F32}, 8},
        {{32, 32, 32, 128, 256, 2, 2, 1, 1, 0, 0, 32, 32, 128, 256, SL_ELEMENT_F32}, 4},
        {{32, 16, 16, 256, 256, 2, 2, 1, 1, 0, 0, 16, 16, 256, 256, SL_ELEMENT_F32}, 0},
        {{32, 16, 16, 256, 512, 2, 2, 1, 1, 0, 0, 16, 16, 256, 512, SL_ELEMENT_F32}, 0},
    };
    for (int n = 0; n < NAMES; n++) {
        const struct sl_kernel_row *row = find_row(SL_OP_conv2d_bwd_weights, names[n]);
        for (size_t i = 0; runs(row) && i < sizeof layers / sizeof *layers; i++) {
            struct sl_need need = {0};
            assert_true(sl_row_takes(row, SL_OP_conv2d_bwd_weights, &layers[i].shape, row->needs, &need));
            assert_int_equal(need.units, 64);
            assert_int_equal(need.parts, layers[i].parts);
            assert_true(need.scratch <= 10 << 20);
        }
    }
}

/* Strides, other kernels, channels that are no multiple of 16, scratch without bounds. */
static void what_it_does_not_take_is_left_to_others(void **state)
{
    (void)state;
    static const struct sl_conv2d shapes[] = {
        {2, 8, 8, 32, 32, 3, 3, 2, 2, 1, 1, 4, 4, 32, 32, SL_ELEMENT_F32},
        {2, 8, 8, 32, 32, 5, 5, 1, 1, 2, 2, 8, 8, 32, 32, SL_ELEMENT_F32},
        {2, 8, 8, 32, 32, 2, 3, 1, 1, 0, 1, 8, 8, 32, 32, SL_ELEMENT_F32},
        {2, 8, 8, 24, 32, 3, 3, 1, 1, 1, 1, 8, 8, 32, 32, SL_ELEMENT_F32},
        {2, 8, 8, 32, 40, 3, 3, 1, 1, 1, 1, 8, 8, 32, 48, SL_ELEMENT_F32},
        {2, 8, 8, 1 << 13, 1 << 13, 3, 3, 1, 1, 1, 1, 8, 8, 1 << 13, 1 << 13, SL_ELEMENT_F32},
    };
    for (int n = 0; n < NAMES; n++) {
        const struct sl_kernel_row *row = find_row(SL_OP_conv2d_bwd_weights, names[n]);
        for (size_t i = 0; runs(row) && i < sizeof shapes / sizeof *shapes; i++) {
            struct sl_need need = {0};
            assert_false(sl_row_takes(row, SL_OP_conv2d_bwd_weights, &shapes[i], row->needs, &need));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_those_of_the_form),
        cmocka_unit_test(no_cut_changes_a_bit),
        cmocka_unit_test(layers_have_units_enough_and_scratch_is_bounded),
        cmocka_unit_test(what_it_does_not_take_is_left_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
