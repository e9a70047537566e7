/* The convolutions in bf16: what their rows promise beyond the checker. */
#include "tests/conv_rows.h"

#include "kernels/bf16.h"
#include "kernels/conv/winograd.h"

/* --- the reference --------------------------------------------------------------------------------------------- */

/* n floats as bf16, to be freed. */
static sl_bf16 *rounded(const float *from, size_t n)
{
    sl_bf16 *to = malloc(n * sizeof *to);
    assert_non_null(to);
    for (size_t i = 0; i < n; i++)
        to[i] = sl_bf16_from_float(from[i]);
    return to;
}

/* The same numbers, each the nearest bf16, as floats. */
static float *draw_rounded(size_t n, uint64_t stream)
{
    float *at = draw(n, stream);
    for (size_t i = 0; i < n; i++)
        at[i] = sl_bf16_to_float(sl_bf16_from_float(at[i]));
    return at;
}

static void run_reference(enum sl_op op, const char *name, const struct sl_conv2d *s, const void *args)
{
    const struct sl_kernel_row *row = find_row(op, name);
    struct sl_need need;
    assert_true(sl_row_takes(row, op, s, SL_CPU, &need));
    row->kernel->run(s, args, &(struct sl_work){.begin = 0, .end = need.units});
}

struct operands {
    struct sl_conv2d f32, bf16; /* the shape */
    size_t inputs, outputs;
    float *x, *dy, *weights, *bias;
    sl_bf16 *x16, *dy16;
};

static void make_operands(struct operands *o)
{
    o->f32 = (struct sl_conv2d){2, 6, 5, 3, 7, 3, 2, 2, 1, 1, 0, 3, 5, 4, 9, SL_ELEMENT_F32};
    o->bf16 = o->f32;
    o->bf16.element = SL_ELEMENT_BF16;
    o->inputs = sl_conv2d_inputs(&o->f32);
    o->outputs = sl_conv2d_outputs(&o->f32);
    o->x = draw_rounded(o->inputs, 0);
    o->dy = draw_rounded(o->outputs, 1);
    o->weights = draw(sl_conv2d_weights(&o->f32), 2);
    o->bias = draw((size_t)o->f32.k, 3);
    o->x16 = rounded(o->x, o->inputs);
    o->dy16 = rounded(o->dy, o->outputs);
}

static void free_operands(struct operands *o)
{
    free(o->dy16);
    free(o->x16);
    free(o->bias);
    free(o->weights);
    free(o->dy);
    free(o->x);
}

static void is_rounded(const sl_bf16 *got, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], sl_bf16_from_float(want[i]));
}

static void the_reference_rounds_what_the_one_in_float_stores(void **state)
{
    (void)state;
    struct operands o;
    make_operands(&o);
    float *want = take(o.inputs + o.outputs);
    sl_bf16 *got = malloc((o.inputs + o.outputs) * sizeof *got);
    assert_non_null(got);
    run_reference(SL_OP_conv2d_fwd, "ref", &o.f32,
                  &(struct sl_conv2d_fwd){.x = o.x, .weights = o.weights, .bias = o.bias, .slope = 0.25f, .y = want});
    run_reference(SL_OP_conv2d_fwd, "bf16_ref", &o.bf16,
                  &(struct sl_conv2d_fwd){.x = o.x16, .weights = o.weights, .bias = o.bias, .slope = 0.25f, .y = got});
    is_rounded(got, want, o.outputs);
    run_reference(SL_OP_conv2d_bwd_data, "ref", &o.f32,
                  &(struct sl_conv2d_bwd_data){.dy = o.dy, .weights = o.weights, .dx = want});
    run_reference(SL_OP_conv2d_bwd_data, "bf16_ref", &o.bf16,
                  &(struct sl_conv2d_bwd_data){.dy = o.dy16, .weights = o.weights, .dx = got});
    is_rounded(got, want, o.inputs);
    free(got);
    free(want);
    free_operands(&o);
}

static void gradients_of_parameters_stay_float(void **state)
{
    (void)state;
    struct operands o;
    make_operands(&o);
    const size_t weights = sl_conv2d_weights(&o.f32), k = (size_t)o.f32.k;
    float *want = take(weights), *got = take(weights);
    run_reference(SL_OP_conv2d_bwd_weights, "ref", &o.f32,
                  &(struct sl_conv2d_bwd_weights){.x = o.x, .dy = o.dy, .dw = want});
    run_reference(SL_OP_conv2d_bwd_weights, "bf16_ref", &o.bf16,
                  &(struct sl_conv2d_bwd_weights){.x = o.x16, .dy = o.dy16, .dw = got});
    assert_memory_equal(got, want, weights * sizeof *got);
    run_reference(SL_OP_bias_bwd, "ref", &o.f32, &(struct sl_bias_bwd){.dy = o.dy, .db = want});
    run_reference(SL_OP_bias_bwd, "bf16_ref", &o.bf16, &(struct sl_bias_bwd){.dy = o.dy16, .db = got});
    assert_memory_equal(got, want, k * sizeof *got);
    free(got);
    free(want);
    free_operands(&o);
}

/* --- errors ---------------------------------------------------------------------------------------------------- */

static void run_launch(const struct launch *l, const void *args)
{
    l->row->kernel->run(&l->shape, args,
                        &(struct sl_work){.end = l->need.units, .scratch = l->scratch, .state = l->state});
}

/* What a pass makes of operands that bf16 holds exactly, as floats. */
static float *result(const struct sl_kernel_row *row, const struct sl_conv2d *s, size_t *n)
{
    const bool bf16 = row->kernel->element == SL_ELEMENT_BF16;
    const size_t inputs = sl_conv2d_inputs(s), outputs = sl_conv2d_outputs(s);
    float *x = draw_rounded(inputs, 0), *dy = draw_rounded(outputs, 1), *w = draw_rounded(sl_conv2d_weights(s), 2);
    sl_bf16 *x16 = rounded(x, inputs), *dy16 = rounded(dy, outputs);
    const void *from_x = bf16 ? (const void *)x16 : x, *from_dy = bf16 ? (const void *)dy16 : dy;
    struct launch l;
    open_launch(&l, row, s, w);
    const float *ready = l.need.packed ? l.packed : w;
    *n = row->op == SL_OP_conv2d_fwd ? outputs : row->op == SL_OP_conv2d_bwd_data ? inputs : sl_conv2d_weights(s);
    float *out = take(*n);
    sl_bf16 *out16 = malloc(*n * sizeof *out16);
    assert_non_null(out16);
    void *to = bf16 ? (void *)out16 : out;
    if (row->op == SL_OP_conv2d_fwd)
        run_launch(&l, &(struct sl_conv2d_fwd){.x = from_x, .weights = ready, .slope = 1.0f, .y = to});
    else if (row->op == SL_OP_conv2d_bwd_data)
        run_launch(&l, &(struct sl_conv2d_bwd_data){.dy = from_dy, .weights = ready, .dx = to});
    else
        run_launch(&l, &(struct sl_conv2d_bwd_weights){.x = from_x, .dy = from_dy, .dw = out});
    for (size_t i = 0; bf16 && row->op != SL_OP_conv2d_bwd_weights && i < *n; i++)
        out[i] = sl_bf16_to_float(out16[i]);
    close_launch(&l);
    free(out16);
    free(dy16);
    free(x16);
    free(w);
    free(dy);
    free(x);
    return out;
}

/* The constants of kernels/conv/README.md, with a little room: the rounding of what is stored, and for rows of products
 * of pairs that of transformed values. dw is not rounded. Much better would be as wrong as much worse. */
static const struct stated {
    const char *name;
    double stored, gradient; /* root mean squares: of y and dx, of dw */
} stated[] = {
    {"winograd_bf16_avx512", 1.65e-3, 1.3e-6},  {"winograd_bf16_avx2", 1.65e-3, 1.3e-6},
    {"direct_bf16_avx512", 1.65e-3, 3e-7},      {"direct_bf16_avx2", 1.65e-3, 3e-7},
    {"winograd_dot_bf16_avx512", 4.3e-3, 4e-3},
};

static void error_is_stated(enum sl_op op, const struct stated *stated_row, const struct sl_conv2d *s,
                            const float *want)
{
    const struct sl_kernel_row *row = find_row(op, stated_row->name);
    const bool stores = op != SL_OP_conv2d_bwd_weights;
    const double expected = stores ? stated_row->stored : stated_row->gradient;
    size_t n;
    if (!runs(row)) {
        print_message("%s: needs %s\n", row->symbol, sl_isa_text(row->needs));
        return;
    }
    float *got = result(row, s, &n);
    const double rms = error_of(got, want, n).rms;
    free(got);
    if (rms > 1.2 * expected || rms < (stores ? 0.8 : 0.1) * expected)
        fail_msg("%s, kernel %d x %d: rms %.2e, stated %.2e", row->symbol, s->kh, s->kw, rms, expected);
}

static void errors_are_those_of_rounding(void **state)
{
    (void)state;
    static const struct sl_conv2d shapes[] = {
        {2, 16, 16, 128, 64, 2, 2, 1, 1, 0, 0, 16, 16, 128, 64, SL_ELEMENT_F32},
        {2, 16, 16, 64, 64, 3, 3, 1, 1, 1, 1, 16, 16, 64, 64, SL_ELEMENT_F32},
    };
    static const enum sl_op passes[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data, SL_OP_conv2d_bwd_weights};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t p = 0; p < sizeof passes / sizeof *passes; p++) {
            size_t n;
            float *want = result(find_row(passes[p], "ref"), &shapes[i], &n);
            for (size_t r = 0; r < sizeof stated / sizeof *stated; r++)
                error_is_stated(passes[p], &stated[r], &shapes[i], want);
            free(want);
        }
}

/* Pairs of values have no room for the large forms: a row that says how many operations it runs says which form it is.
 */
static void pairs_keep_to_the_small_forms(void **state)
{
    (void)state;
    static const struct {
        struct sl_conv2d shape;
        double products; /* of one pair of channels, in an image */
    } cases[] = {
        {{2, 16, 16, 32, 48, 2, 2, 1, 1, 0, 0, 16, 16, 32, 48, SL_ELEMENT_BF16}, 6 * 6 * 16},
        {{2, 16, 16, 32, 48, 3, 3, 1, 1, 1, 1, 16, 16, 32, 48, SL_ELEMENT_BF16}, 8 * 8 * 16},
    };
    static const enum sl_op passes[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data, SL_OP_conv2d_bwd_weights};
    for (size_t i = 0; i < 6; i++) {
        const struct sl_kernel_row *row = find_row(passes[i / 2], "winograd_dot_bf16_avx512");
        struct sl_need need;
        if (!runs(row))
            skip();
        assert_true(sl_row_takes(row, row->op, &cases[i % 2].shape, row->needs, &need));
        assert_true(need.flops == 2.0 * 2 * 32 * 48 * cases[i % 2].products);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_rounds_what_the_one_in_float_stores),
        cmocka_unit_test(gradients_of_parameters_stay_float),
        cmocka_unit_test(errors_are_those_of_rounding),
        cmocka_unit_test(pairs_keep_to_the_small_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
