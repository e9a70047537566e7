/* Every row of a GPU against the reference of the processor, on the device itself. It needs no library but the plug-in,
 * so that it runs where only CUDA is installed.
 *   gpu_check [--quick] [--own] [--emulated] [PATTERN]
 * PATTERN chooses by the beginning of a row's symbol, and has every wrong shape named. --quick: one in eight of the
 * shapes that a row takes, and small convolutions. --own: no row of a library. --emulated: without a GPU, its threads
 * on the processor, to test this program. Exit: 0, 1 (a row is wrong), 77 (there is no GPU).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/conv/conv.h"
#include "runtime/base/clock.h"
#include "runtime/device/backend.h"
#include "tests/check_trial.h"
#include "tests/gpu/emulated_device.h"

enum { SKIP = 77, SEED = 1, QUICK_STEP = 8 };

/* Of a convolution to be checked: the reference and emulated threads take their time. */
static const double most_flops = 4e8, quick_flops = 4e5;

struct options {
    bool quick, emulated, own;
    const char *pattern;
};

struct tally {
    int rows, failed, trials;
};

static const char *ready_way(unsigned i, bool *sliced)
{
    *sliced = false;
    return i == 1 ? "the run" : NULL;
}

static bool convolves(enum sl_op op)
{
    return op == SL_OP_conv2d_fwd || op == SL_OP_conv2d_pool_fwd || op == SL_OP_conv2d_bwd_data ||
           op == SL_OP_conv2d_bwd_weights;
}

static bool is_too_large(const struct options *options, const struct check_op *op, size_t index)
{
    const double most = options->emulated || options->quick ? quick_flops : most_flops;
    return convolves(op->op) && sl_conv2d_flops(op->shape(index, NULL, 0)) > most;
}

/* Of a row's shapes. */
struct count {
    int tried, failed, refused;
    char first[768]; /* that is wrong, and how */
};

/* Tries a row on one shape. */
static void try_shape(const struct options *options, struct check_trial *trial, struct count *count)
{
    char name[128], wrong_here[768];
    const char *wrong = check_trial_run(trial);
    check_trial_release(trial);
    if (trial->refused) {
        count->refused++;
        return;
    }
    count->tried++;
    if (!wrong)
        return;
    trial->op->shape(trial->index, name, sizeof name);
    snprintf(wrong_here, sizeof wrong_here, "%.128s: %s", name, wrong);
    if (!count->failed++)
        memcpy(count->first, wrong_here, sizeof count->first);
    else if (options->pattern)
        printf("       %s: %s\n", trial->row->symbol, wrong_here);
}

/* Tries a row on its shapes; says which shape is the first to be wrong, and how many are. One that refuses them all is
 * wrong as well. */
static bool check_row(const struct options *options, const struct sl_device *device, const struct sl_kernel_row *row,
                      struct tally *tally)
{
    const struct check_op *op = check_find_op(row->op);
    struct count count = {0, 0, 0, ""};
    int taken = 0;
    for (size_t i = 0; op && i < op->shapes; i++) {
        struct check_trial trial = {.op = op,
                                    .row = row,
                                    .reference = check_find_reference(row->op, SL_ELEMENT_F32),
                                    .index = i,
                                    .seed = SEED,
                                    .isa = sl_isa(),
                                    .device = device,
                                    .ready_way = ready_way};
        if (!trial.reference || is_too_large(options, op, i) || !check_takes(op, i, row))
            continue;
        if (taken++ % (options->quick ? QUICK_STEP : 1) == 0)
            try_shape(options, &trial, &count);
    }
    if (count.tried == 0)
        snprintf(count.first, sizeof count.first, "no shape was tried: %.500s", sl_last_error());
    printf("%-6s %-44s %4d of %4d shapes", count.first[0] ? "FAILED" : "ok", row->symbol, count.tried - count.failed,
           count.tried);
    if (count.refused)
        printf(", %d refused", count.refused);
    printf("%s%s\n", count.first[0] ? "  " : "", count.first);
    fflush(stdout);
    tally->rows++;
    tally->failed += count.first[0] != '\0';
    tally->trials += count.tried;
    return !count.first[0];
}

static int check_all(const struct options *options, const struct sl_device *device)
{
    struct tally tally = {0, 0, 0};
    const double start = sl_clock();
    for (size_t i = 0; i < device->row_count; i++) {
        const struct sl_kernel_row *row = &device->rows[i];
        if (row->needs & ~device->isa || (options->own && row->needs & SL_CUDNN))
            continue;
        if (!options->pattern || !strncmp(row->symbol, options->pattern, strlen(options->pattern)))
            check_row(options, device, row, &tally);
    }
    printf("gpu_check on %s: %d rows, %d wrong, %d trials, %.1f s\n", device->name, tally.rows, tally.failed,
           tally.trials, sl_clock() - start);
    return tally.failed || tally.rows == 0;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--quick"))
            options->quick = true;
        else if (!strcmp(argv[i], "--emulated"))
            options->emulated = true;
        else if (!strcmp(argv[i], "--own"))
            options->own = true;
        else if (argv[i][0] != '-' && !options->pattern)
            options->pattern = argv[i];
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {false, false, false, NULL};
    struct sl_device device;
    if (!read_options(argc, argv, &options)) {
        fprintf(stderr, "usage: gpu_check [--quick] [--own] [--emulated] [PATTERN]\n");
        return SL_USAGE;
    }
    const int rc = options.emulated
                       ? emulated_device_open(&device)
                       : sl_backend_open(&(struct sl_backend_options){.name = "cuda", .tf32 = true}, &device);
    if (rc != SL_OK) {
        printf("skipped: %s\n", sl_last_error());
        return SKIP;
    }
    const int failed = check_all(&options, &device);
    device.close(device.self);
    return failed;
}
