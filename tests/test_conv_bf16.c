/* The convolutions in bf16: what their rows promise beyond the checker. */
#include "tests/conv_rows.h"

#include "kernels/bf16.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_rounds_what_the_one_in_float_stores),
        cmocka_unit_test(gradients_of_parameters_stay_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
