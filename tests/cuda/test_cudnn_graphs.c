/* The graphs of all rows of cuDNN, given to the cuDNN of this machine, if it has one, on behalf of a GPU that is not
 * there (tests/fake/deviceless_cudnn.c). Convolutions of the default network come to their plans. Other operations have
 * engines that are compiled when a plan is made, which wants a driver: without one, that cuDNN takes their graphs is
 * all that can be told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/conv/conv.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/rows.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"

enum { SKIP = 77, BATCH = 256 };

/* Opens a row at a shape of its element. False: cuDNN has no engine. */
static bool opens(const struct sl_kernel_row *row, const void *shape)
{
    struct sl_need need;
    assert_true(sl_row_takes(row, row->op, shape, row->needs, &need));
    void *state = calloc(1, need.state);
    assert_non_null(state);
    const bool open = row->kernel->open(shape, NULL, state) == SL_OK;
    if (open)
        row->kernel->close(state);
    else if (!strstr(sl_last_error(), "cuDNN has no engine for "))
        fail_msg("%s: %s", row->symbol, sl_last_error());
    free(state);
    return open;
}

/* image, channels, filters, kernel, padding */
static const int32_t layers[][5] = {{64, 3, 32, 3, 1},    {64, 32, 64, 3, 1},   {32, 64, 128, 2, 0},
                                    {32, 128, 256, 2, 0}, {16, 256, 256, 2, 0}, {16, 256, 512, 2, 0},
                                    {8, 512, 200, 1, 0}};

static void convolutions_have_plans(void **state)
{
    (void)state;
    for (size_t i = 0; i < sl_cuda_row_count; i++) {
        const struct sl_kernel_row *row = &sl_cuda_rows[i];
        if (!(row->needs & SL_CUDNN) || strncmp(row->symbol, "sl_conv2d_", strlen("sl_conv2d_")))
            continue;
        for (size_t l = 0; l < sizeof layers / sizeof *layers; l++) {
            const int32_t *layer = layers[l], image = layer[0];
            const struct sl_conv2d shape = {.n = BATCH,
                                            .h = image,
                                            .w = image,
                                            .c = layer[1],
                                            .k = layer[2],
                                            .kh = layer[3],
                                            .kw = layer[3],
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .pad_top = layer[4],
                                            .pad_left = layer[4],
                                            .oh = image,
                                            .ow = image,
                                            .xs = layer[1] == 3 ? 3 : layer[1],
                                            .ys = sl_round_up(layer[2], SL_LANES),
                                            .element = row->kernel->element};
            if (!opens(row, &shape))
                fail_msg("%s, layer %zu: %s", row->symbol, l + 1, sl_last_error());
        }
    }
}

static void all_other_graphs_are_taken(void **state)
{
    int rows = 0, open = 0;
    (void)state;
    for (size_t i = 0; i < sl_cuda_row_count; i++) {
        const struct sl_kernel_row *row = &sl_cuda_rows[i];
        const enum sl_element element = row->kernel->element;
        const struct sl_pool pool = {BATCH, 32, 32, 64, 64, 2, 2, 2, 2, 0, 0, 16, 16, element};
        const struct sl_norm norm = {BATCH, 32, 32, 128, 128, 1, 0.1f, element};
        const struct sl_softmax softmax = {BATCH, 200, 208, element};
        const bool pools = !strncmp(row->symbol, "sl_pool", 7), norms = !strncmp(row->symbol, "sl_norm", 7);
        if (!(row->needs & SL_CUDNN) || !strncmp(row->symbol, "sl_conv2d_", strlen("sl_conv2d_")))
            continue;
        open += opens(row, pools ? &pool : norms ? (const void *)&norm : &softmax);
        rows++;
    }
    print_message("%d of %d rows have plans here\n", open, rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions_have_plans),
        cmocka_unit_test(all_other_graphs_are_taken),
    };
    setenv("SL_CUDNN_PATH", SL_DEVICELESS_CUDNN, 1);
    if (!sl_cudnn_load(sl_fail)) {
        printf("skipped: there is no cuDNN 9.8 or newer here\n");
        return SKIP;
    }
    print_message("cuDNN %s\n", sl_cudnn_text());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
