/* Shapes whose products pass 2^31: what the kernels say of them, and where packing puts the last weights. Memory is
 * mapped, and next to none of it touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/conv/units.h"
#include "kernels/kernels.h"
#include "kernels/pool/pool.h"

enum { MOST = SL_MAX_LENGTH, BLOCK = 64 }; /* BLOCK: no row's block of channels is wider */

static const size_t PASSED = (size_t)1 << 31;

/* A dense layer: the kernel is the image. */
static struct sl_conv2d dense(int32_t k, int32_t kh, int32_t kw, int32_t c)
{
    return (struct sl_conv2d){.n = 1,
                              .h = kh,
                              .w = kw,
                              .c = c,
                              .k = k,
                              .kh = kh,
                              .kw = kw,
                              .stride_h = 1,
                              .stride_w = 1,
                              .oh = 1,
                              .ow = 1,
                              .xs = c,
                              .ys = k};
}

static bool takes(const struct sl_kernel_row *row, const void *shape, struct sl_need *need)
{
    return sl_row_takes(row, row->op, shape, sl_isa(), need);
}

static void the_last_weight_has_its_place(void **state)
{
    (void)state;
    const struct sl_conv2d s = dense(MOST, MOST, 4096, 1);
    assert_int_equal(sl_conv2d_weights(&s), (size_t)1 << 40);
    assert_int_equal(sl_conv2d_weight_at(&s, MOST - 1, MOST - 1, 4095), ((size_t)1 << 40) - 1);
}

/* Packed weights are the weights, with the output side's channels rounded up to whole blocks. */
static void check_sizes(const struct sl_kernel_row *row, const struct sl_conv2d *s)
{
    struct sl_need need;
    if (row->op > SL_OP_bias_bwd || !takes(row, s, &need))
        return;
    const size_t taps = (size_t)s->kh * (size_t)s->kw;
    assert_true(need.units >= 1);
    assert_true(need.scratch <= (size_t)1 << 28);
    if (need.packed == 0)
        return;
    const size_t outputs = (size_t)(row->op == SL_OP_conv2d_fwd ? s->k : s->c), inputs = sl_conv2d_weights(s) / outputs;
    assert_in_range(need.packed / sizeof(float), sl_conv2d_weights(s), (outputs + BLOCK - 1) * inputs);
    assert_true(inputs % taps == 0);
    assert_in_range(need.pack_units, outputs / BLOCK, outputs / 16 + 1);
}

static void every_row_counts_large_shapes(void **state)
{
    (void)state;
    const struct sl_conv2d shapes[] = {
        dense(MOST, MOST, 4096, 1),
        dense(16, 4096, 4096, MOST / 4),
        dense(MOST, 64, 64, MOST),
        {1, SL_MAX_IMAGES, 1, MOST, MOST, 1, 1, 1, 1, 0, 0, SL_MAX_IMAGES, 1, MOST, MOST, SL_ELEMENT_F32},
        {SL_MAX_IMAGES, MOST, MOST, MOST, MOST, 64, 64, 1, 1, 63, 63, MOST, MOST, MOST, MOST, SL_ELEMENT_F32},
        {SL_MAX_IMAGES, MOST, MOST, MOST, MOST, 64, 64, 64, 64, 0, 0, MOST / 64, MOST / 64, MOST, MOST, SL_ELEMENT_F32},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t r = 0; r < sl_kernel_row_count; r++)
            check_sizes(&sl_kernel_rows[r], &shapes[i]);
}

static float *map(size_t floats)
{
    float *at =
        mmap(NULL, floats * sizeof *at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* Packs the last block only. Its last channel with any weight is where the last weight goes. */
static void pack_the_end(const struct sl_kernel_row *row, const struct sl_conv2d *s, int32_t outputs)
{
    struct sl_need need;
    if (!takes(row, s, &need) || need.packed == 0)
        return;
    const size_t weights = sl_conv2d_weights(s), packed = need.packed / sizeof(float);
    const int64_t blocks = need.pack_units, block = (int64_t)(packed / (weights / (size_t)outputs)) / blocks;
    float *from = map(weights), *to = map(packed);
    if (!from || !to)
        skip(); /* the system grants no more addresses than memory */
    assert_true(weights > PASSED);
    from[weights - 1] = 5.0f;
    _Alignas(64) unsigned char state[4096];
    assert_true(need.state <= sizeof state);
    if (row->kernel->open)
        assert_int_equal(row->kernel->open(s, NULL, state), SL_OK);
    const struct sl_work last = {.begin = blocks - 1, .end = blocks, .state = state};
    row->kernel->pack(s, from, to, &last);
    const float *begin = to + packed / (size_t)blocks * (size_t)(blocks - 1), *end = to + packed;
    size_t found = 0, where = 0;
    for (const float *at = begin; at < end; at++)
        if (*at != 0.0f) {
            found++;
            where = (size_t)(at - begin);
        }
    assert_int_equal(found, 1);
    if (!(row->needs & SL_AMX)) /* whose registers hold pairs */
        assert_int_equal(where % (size_t)block, (size_t)((outputs - 1) % block));
    munmap(from, weights * sizeof *from);
    munmap(to, packed * sizeof *to);
}

static void packing_reaches_the_last_weight(void **state)
{
    (void)state;
    const struct sl_conv2d wide = dense(MOST - 1, 64, 64, 33), deep = dense(33, 64, 64, MOST - 1);
    for (size_t r = 0; r < sl_kernel_row_count; r++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[r];
        if (row->op == SL_OP_conv2d_fwd)
            pack_the_end(row, &wide, wide.k);
        if (row->op == SL_OP_conv2d_bwd_data)
            pack_the_end(row, &deep, deep.c);
    }
}

static void units_of_many_images_are_counted(void **state)
{
    (void)state;
    const struct sl_units two = {.n = INT32_MAX, .oh = 1, .ow = 1, .rows = 1, .per_image = 1, .images = 2};
    const struct sl_units rows = {
        .n = SL_MAX_IMAGES, .oh = MOST, .ow = MOST, .rows = 1, .per_image = MOST, .images = 1};
    assert_int_equal(sl_units_count(&two), (int64_t)1 << 30);
    assert_int_equal(sl_units_count(&rows), (int64_t)1 << 30);
    assert_int_equal(sl_units_at(&rows, ((int64_t)1 << 30) - 1).p, MOST - 1);
}

static const char *first_row(enum sl_op op, const void *shape)
{
    struct sl_need need;
    size_t r = 0;
    while (!sl_row_takes(&sl_kernel_rows[r], op, shape, sl_isa(), &need))
        r++;
    return sl_kernel_rows[r].name;
}

/* The vector rows number the pixels of a window in floats. */
static void a_window_of_more_pixels_than_a_float_counts_goes_to_the_reference(void **state)
{
    (void)state;
    struct sl_pool s = {.n = 1,
                        .h = 4096,
                        .w = 4097,
                        .c = 16,
                        .xs = 16,
                        .kh = 4096,
                        .kw = 4097,
                        .stride_h = 4096,
                        .stride_w = 4097,
                        .oh = 1,
                        .ow = 1};
    assert_string_equal(first_row(SL_OP_pool_max_bwd, &s), "ref");
    s.w = s.kw = 4096;
    if (sl_isa() != SL_CPU)
        assert_string_not_equal(first_row(SL_OP_pool_max_bwd, &s), "ref");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_weight_has_its_place),
        cmocka_unit_test(every_row_counts_large_shapes),
        cmocka_unit_test(packing_reaches_the_last_weight),
        cmocka_unit_test(units_of_many_images_are_counted),
        cmocka_unit_test(a_window_of_more_pixels_than_a_float_counts_goes_to_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
