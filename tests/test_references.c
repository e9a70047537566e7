/* The references, which arbitrate over every other row, against mathematics: central differences for gradients, values
 * worked out by hand for the rest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/activation/activation.h"
#include "kernels/conv/conv.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/philox.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "tests/run_op.h"

static void run(enum sl_op op, const void *shape, const void *args)
{
    run_op(op, SL_CPU, shape, args);
}

static void draw(float *at, int n, uint64_t stream)
{
    for (int i = 0; i < n; i++)
        at[i] = 2.0f * sl_uniform(sl_philox4x32(2024, stream, (uint64_t)i).word[0]) - 1.0f;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static bool near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance * (1.0 + fabs(b));
}

/* d loss / d at[i] for every i, by central differences, against `gradient`. */
static void differences_agree(double (*loss)(void *), void *self, float *at, const float *gradient, int n)
{
    for (int i = 0; i < n; i++) {
        const float kept = at[i], high = kept + 0x1p-9f, low = kept - 0x1p-9f;
        at[i] = high;
        const double above = loss(self);
        at[i] = low;
        const double below = loss(self);
        at[i] = kept;
        const double slope = (above - below) / ((double)high - low);
        if (!near(gradient[i], slope, 2e-3))
            fail_msg("element %d: %g, differences say %g", i, (double)gradient[i], slope);
    }
}

/* --- batch norm, with activation and pooling, statistics included --- */

enum { XS = 3, MAX_X = 2 * 4 * 4 * XS, RECORD = 2 * XS + SL_LANES };

struct norm {
    struct sl_norm shape;
    float x[MAX_X], gamma[XS], beta[XS], weights[MAX_X];
    float mean[XS], rstd[XS], scale[XS], shift[XS], y[MAX_X];
};

static double norm_loss(void *self)
{
    struct norm *t = self;
    float moments[RECORD], var[XS];
    run(SL_OP_norm_moments, &t->shape, &(struct sl_norm_moments){t->x, moments});
    run(SL_OP_norm_join, &t->shape, &(struct sl_norm_join){moments, 1, t->mean, var});
    const struct sl_norm_scale scale = {t->mean, var, t->gamma, t->beta, 1e-5, t->rstd, t->scale, t->shift};
    run(SL_OP_norm_scale, &t->shape, &scale);
    run(SL_OP_norm_fwd, &t->shape, &(struct sl_norm_fwd){t->x, t->scale, t->shift, t->y});
    return dot(t->y, t->weights, MAX_X / t->shape.pool / t->shape.pool);
}

static void norm_gradients(int32_t pool, float slope)
{
    struct norm t = {.shape = {2, 4, 4, XS, XS, pool, slope, SL_ELEMENT_F32}};
    float sums[2 * XS], dgamma[XS], dbeta[XS], a[XS], b[XS], dx[MAX_X];
    draw(t.x, MAX_X, 1);
    draw(t.gamma, XS, 2);
    draw(t.beta, XS, 3);
    draw(t.weights, MAX_X, 4);
    norm_loss(&t);
    const struct sl_norm_bwd_reduce reduce = {
        .x = t.x, .scale = t.scale, .shift = t.shift, .mean = t.mean, .rstd = t.rstd, .dy = t.weights, .sums = sums};
    run(SL_OP_norm_bwd_reduce, &t.shape, &reduce);
    const struct sl_norm_bwd_join join = {sums, 1, t.scale, t.mean, t.rstd, dbeta, dgamma, a, b};
    run(SL_OP_norm_bwd_join, &t.shape, &join);
    run(SL_OP_norm_bwd_apply, &t.shape, &(struct sl_norm_bwd_apply){t.x, t.scale, t.shift, t.weights, a, b, dx});
    differences_agree(norm_loss, &t, t.x, dx, MAX_X);
    differences_agree(norm_loss, &t, t.gamma, dgamma, XS);
    differences_agree(norm_loss, &t, t.beta, dbeta, XS);
}

static void norm_gradients_are_derivatives(void **state)
{
    (void)state;
    norm_gradients(1, 0.1f);
    norm_gradients(2, 0.1f);
    norm_gradients(2, 1.0f);
}

/* Records of unequal size, one of them empty, join to the moments of all. */
static void moments_join(void **state)
{
    (void)state;
    const float x[] = {1.0f, 2.0f, 4.0f, 8.0f, 16.0f};
    float records[3 * (2 + SL_LANES)] = {0}, mean, var;
    const int begin[] = {0, 2, 2, 5};
    for (int r = 0; r < 3; r++) {
        float *record = records + r * (2 + SL_LANES);
        const struct sl_norm shape = {1, 1, begin[r + 1] - begin[r], 1, 1, 1, 1.0f, SL_ELEMENT_F32};
        if (shape.w)
            run(SL_OP_norm_moments, &shape, &(struct sl_norm_moments){x + begin[r], record});
    }
    run(SL_OP_norm_join, &(struct sl_norm){1, 1, 5, 1, 1, 1, 1.0f, SL_ELEMENT_F32},
        &(struct sl_norm_join){records, 3, &mean, &var});
    assert_true(near(mean, 6.2, 1e-6));
    assert_true(near(var, 68.2 - 38.44, 1e-6));
}

/* --- pooling --- */

struct pool {
    struct sl_pool shape;
    enum sl_op op;
    float x[5 * 6 * 2], y[3 * 3 * 2], weights[3 * 3 * 2];
};

static double pool_loss(void *self)
{
    struct pool *t = self;
    run(t->op, &t->shape, &(struct sl_pool_fwd){t->x, t->y});
    return dot(t->y, t->weights, 3 * 3 * 2);
}

static void pool_gradients_are_derivatives(void **state)
{
    (void)state;
    struct pool t = {.shape = {1, 5, 6, 2, 2, 3, 3, 2, 2, 1, 1, 3, 3, SL_ELEMENT_F32}};
    float dx[5 * 6 * 2];
    draw(t.x, 5 * 6 * 2, 5);
    draw(t.weights, 3 * 3 * 2, 6);
    t.op = SL_OP_pool_max_fwd;
    run(SL_OP_pool_max_bwd, &t.shape, &(struct sl_pool_bwd){t.x, t.weights, dx});
    differences_agree(pool_loss, &t, t.x, dx, 5 * 6 * 2);
    t.op = SL_OP_pool_avg_fwd;
    run(SL_OP_pool_avg_bwd, &t.shape, &(struct sl_pool_bwd){t.x, t.weights, dx});
    differences_agree(pool_loss, &t, t.x, dx, 5 * 6 * 2);
}

/* Padding is not counted: the corner window of ones has the mean one. */
static void averages_leave_padding_out(void **state)
{
    (void)state;
    struct pool t = {.shape = {1, 5, 6, 2, 2, 3, 3, 2, 2, 1, 1, 3, 3, SL_ELEMENT_F32}, .op = SL_OP_pool_avg_fwd};
    for (int i = 0; i < 5 * 6 * 2; i++)
        t.x[i] = 1.0f;
    pool_loss(&t);
    for (int i = 0; i < 3 * 3 * 2; i++)
        assert_true(t.y[i] == 1.0f);
}

/* --- softmax --- */

struct softmax {
    struct sl_softmax shape;
    int32_t labels[2];
    float x[2 * 5], p[2 * 5];
};

static double softmax_loss(void *self)
{
    struct softmax *t = self;
    double loss[2];
    run(SL_OP_softmax_nll_fwd, &t->shape, &(struct sl_softmax_nll_fwd){t->x, t->labels, t->p, loss});
    return 0.5 * (loss[0] + loss[1]);
}

static void softmax_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct softmax t = {.shape = {2, 5, 5, SL_ELEMENT_F32}, .labels = {3, 0}};
    float dx[2 * 5];
    draw(t.x, 2 * 5, 7);
    softmax_loss(&t);
    run(SL_OP_softmax_nll_bwd, &t.shape, &(struct sl_softmax_nll_bwd){t.p, t.labels, 0.5f, dx});
    differences_agree(softmax_loss, &t, t.x, dx, 2 * 5);
}

/* exp(0) : exp(ln 3) = 1 : 3, and the clip of the score at 1e-10. */
static void softmax_by_hand(void **state)
{
    (void)state;
    const struct sl_softmax shape = {2, 2, 2, SL_ELEMENT_F32};
    const float x[] = {0.0f, 1.0986123f, 100.0f, 0.0f};
    const int32_t labels[] = {0, 1};
    float p[4];
    double loss[2];
    run(SL_OP_softmax_nll_fwd, &shape, &(struct sl_softmax_nll_fwd){x, labels, p, loss});
    assert_true(near(p[0], 0.25, 1e-6) && near(p[1], 0.75, 1e-6));
    assert_true(near(loss[0], log(4.0), 1e-6));
    assert_true(near(loss[1], -log(1e-10), 1e-12));
}

/* --- updaters --- */

/* The first step of Adam and AMSGrad is lr*sign(g); then AMSGrad keeps the larger second moment. */
static void updaters_by_hand(void **state)
{
    (void)state;
    const struct sl_optimizer shape = {.n = 1};
    for (int maximum = 0; maximum < 2; maximum++) {
        const enum sl_op op = maximum ? SL_OP_amsgrad_step : SL_OP_adam_step;
        float w = 0.0f, g = -2.0f, m = 0.0f, v = 0.0f, h = 0.0f;
        struct sl_optimizer_step t = {.w = &w, .g = &g, .m = &m, .v = &v, .h = &h, .beta1 = 0.9f, .beta2 = 0.999f};
        const struct sl_now now = {.rate = 0.01f * sqrtf(1.0f - 0.999f) / (1.0f - 0.9f)};
        t.now = &now;
        run(op, &shape, &t);
        assert_true(near(w, 0.01, 1e-5));
        g = 0.0f;
        run(op, &shape, &t);
        assert_true(near(v, 0.999 * 0.004, 1e-5));
        assert_true(near(h, maximum ? 0.004 : 0.0, 1e-6));
    }
    float w = 2.0f, g = 0.5f, m = 1.0f;
    struct sl_now now = {.rate = 0.1f};
    const struct sl_optimizer_step t = {.w = &w, .g = &g, .m = &m, .now = &now, .momentum = 0.5f, .l2 = 0.25f};
    run(SL_OP_sgd_step, &shape, &t); /* g' = 0.5 + 0.25*2 = 1, m = 0.5*1 + 1 = 1.5 */
    assert_true(near(m, 1.5, 1e-6) && near(w, 1.85, 1e-6));
    now.bad = SL_BAD_LOSS;
    run(SL_OP_sgd_step, &shape, &t); /* a bad step changes nothing */
    run(SL_OP_subtract, &shape, &(struct sl_subtract){&w, &g, &now});
    assert_true(near(m, 1.5, 1e-6) && near(w, 1.85, 1e-6));
    now.bad = 0;
    run(SL_OP_subtract, &shape, &(struct sl_subtract){&w, &g, &now});
    assert_true(near(w, 1.35, 1e-6));
}

/* --- images --- */

/* A window that begins one pixel left of and above a 2 x 2 image, plain and mirrored. */
static void crops_by_hand(void **state)
{
    (void)state;
    const uint8_t x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const struct sl_image shape = {2, 2, 2, 2, 1, SL_ELEMENT_F32};
    const float plain[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 5, 7}, mirrored[12] = {1, 1, 1, 1, 1, 1, 3, 5, 7, 1, 1, 1};
    float y[12];
    struct sl_image_place place = {0, -1, -1, false};
    const struct sl_image_to_float t = {x, &place, {2, 2, 2}, {1, 1, 1}, y};
    run(SL_OP_image_to_float, &shape, &t);
    assert_memory_equal(y, plain, sizeof y);
    place.flip = 1;
    run(SL_OP_image_to_float, &shape, &t);
    assert_memory_equal(y, mirrored, sizeof y);
}

/* Image 1 of two 1 x 1 images, then image 0. */
static void images_by_index(void **state)
{
    (void)state;
    const uint8_t x[6] = {1, 2, 3, 4, 5, 6};
    const struct sl_image shape = {1, 1, 1, 1, 2, SL_ELEMENT_F32};
    const struct sl_image_place places[2] = {{.index = 1}, {.index = 0}};
    const float expected[6] = {4, 5, 6, 1, 2, 3};
    float y[6];
    run(SL_OP_image_to_float, &shape, &(struct sl_image_to_float){x, places, {1, 1, 1}, {0, 0, 0}, y});
    assert_memory_equal(y, expected, sizeof y);
}

/* --- batch norm's running statistics, and folded into a convolution --- */

static void commits_by_hand(void **state)
{
    (void)state;
    const struct sl_norm shape = {1, 1, 1, 1, 1, 1, 1.0f, SL_ELEMENT_F32};
    float mean = 2.0f, var = 4.0f, running_mean = 1.0f, running_var = 1.0f;
    struct sl_now now = {.bad = SL_BAD_GRADIENT};
    const struct sl_norm_commit t = {&mean, &var, 0.75, &now, &running_mean, &running_var};
    run(SL_OP_norm_commit, &shape, &t);
    assert_true(running_mean == 1.0f && running_var == 1.0f);
    now.bad = 0;
    run(SL_OP_norm_commit, &shape, &t);
    assert_true(running_mean == 1.25f && running_var == 1.75f);
}

/* gamma/sqrt(var + epsilon) = 3/2: weights 2 become 3, the bias (1 - 5)*3/2 + 7 = 1. */
static void folds_by_hand(void **state)
{
    (void)state;
    const struct sl_conv2d shape = {1, 1, 1, 2, 1, 1, 1, 1, 1, 0, 0, 1, 1, 2, 1, SL_ELEMENT_F32};
    const float weights[] = {2.0f, -4.0f}, bias = 1.0f, gamma = 3.0f, beta = 7.0f, mean = 5.0f, var = 3.0f;
    float folded[2], folded_bias;
    const struct sl_conv2d_fold t = {weights, &bias, &gamma, &beta, &mean, &var, 1.0, folded, &folded_bias};
    run(SL_OP_conv2d_fold, &shape, &t);
    assert_true(folded[0] == 3.0f && folded[1] == -6.0f && folded_bias == 1.0f);
}

/* --- the verdict on a step --- */

static struct sl_now judged(float weight, float gradient, double loss)
{
    const float weights[2] = {weight, 4.0f}, gradients[2] = {gradient, 12.0f};
    const double losses[2] = {loss, 3.0};
    double sums[2];
    struct sl_now now = {.rate = 1.0f, .bad = 77};
    const struct sl_flat flat = {.n = 2};
    run(SL_OP_sum_squares, &flat, &(struct sl_sum_squares){weights, &sums[0]});
    run(SL_OP_sum_squares, &flat, &(struct sl_sum_squares){gradients, &sums[1]});
    run(SL_OP_judge, &(struct sl_judge_shape){2, 1, 1, SL_ELEMENT_F32},
        &(struct sl_judge){losses, &sums[0], &sums[1], &now});
    return now;
}

static void verdicts_by_hand(void **state)
{
    (void)state;
    const struct sl_now good = judged(3.0f, 5.0f, 1.0);
    assert_true(good.bad == 0 && good.loss == 2.0 && good.half_norm == 12.5 && good.gradient_norm == 13.0);
    assert_true(good.rate == 1.0f);
    assert_int_equal(judged(3.0f, 3e38f, 1.0).bad, 0); /* whose square is no float */
    assert_int_equal(judged(3.0f, NAN, 1.0).bad, SL_BAD_GRADIENT);
    assert_int_equal(judged(3.0f, -INFINITY, 1.0).bad, SL_BAD_GRADIENT);
    assert_int_equal(judged(INFINITY, 5.0f, 1.0).bad, SL_BAD_LOSS);
    assert_int_equal(judged(3.0f, NAN, (double)NAN).bad, SL_BAD_LOSS | SL_BAD_GRADIENT);
}

static uint64_t fingerprint(float first, float second)
{
    uint64_t sum;
    const float x[] = {first, second};
    run(SL_OP_fingerprint, &(struct sl_flat){.n = 2}, &(struct sl_fingerprint){x, &sum});
    return sum;
}

/* SplitMix64's first number from seed 0 is known. */
static void fingerprints_by_hand(void **state)
{
    (void)state;
    uint64_t sum;
    const float zero = 0.0f;
    run(SL_OP_fingerprint, &(struct sl_flat){.n = 1}, &(struct sl_fingerprint){&zero, &sum});
    assert_true(sum == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(fingerprint(1.0f, 2.0f) == sl_mix_float(0x3f800000, 0) + sl_mix_float(0x40000000, 1));
    assert_true(fingerprint(1.0f, 2.0f) != fingerprint(2.0f, 1.0f));
    assert_true(fingerprint(0.0f, 2.0f) != fingerprint(-0.0f, 2.0f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_gradients_are_derivatives),
        cmocka_unit_test(moments_join),
        cmocka_unit_test(pool_gradients_are_derivatives),
        cmocka_unit_test(averages_leave_padding_out),
        cmocka_unit_test(softmax_gradient_is_the_derivative),
        cmocka_unit_test(softmax_by_hand),
        cmocka_unit_test(updaters_by_hand),
        cmocka_unit_test(crops_by_hand),
        cmocka_unit_test(images_by_index),
        cmocka_unit_test(commits_by_hand),
        cmocka_unit_test(folds_by_hand),
        cmocka_unit_test(verdicts_by_hand),
        cmocka_unit_test(fingerprints_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
