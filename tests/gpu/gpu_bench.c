/* How fast the rows of a GPU are: the convolutions of the default network at batch 256, in bf16 and tf32, then every
 * other operation on the shapes that its checker thinks worth measuring. Medians of 20 rounds. Like gpu_check it needs
 * no library but the plug-in.
 *   gpu_bench [--emulated] [PATTERN]
 * PATTERN chooses by the beginning of a row's symbol. A row that cannot be made ready for a shape has no time there.
 * --emulated: one layer, small shapes and one launch, without a GPU, to test this program. Exit: 0, 1 (the device
 * failed), 77 (there is no GPU). */
#include <stdio.h>
#include <string.h>

#include "kernels/conv/conv.h"
#include "runtime/base/clock.h"
#include "runtime/device/backend.h"
#include "tests/check.h"
#include "tests/gpu/emulated_device.h"

enum { SKIP = 77 };

struct effort {
    int batch, rounds, launches;
    const char *layer; /* the only one, and the smallest shapes; NULL: all that is measured */
    const char *pattern;
};
static const struct effort real = {256, 20, 10, NULL, ""}, emulated = {1, 1, 1, "L7", ""};

static bool is_asked(const struct effort *effort, const struct sl_device *device, const struct sl_kernel_row *row)
{
    return !(row->needs & ~device->isa) && !strncmp(row->symbol, effort->pattern, strlen(effort->pattern));
}

/* Seconds; 0: the row refuses the shape; negative: the device failed. */
static double measure(const struct sl_device *device, const struct check_op *op, const void *shape, size_t index,
                      const struct sl_kernel_row *row, const struct effort *effort, struct check_case *c)
{
    *c = (struct check_case){.device = device, .measured = true, .index = index, .seed = 1};
    c->rounded = row->needs & SL_TF32;
    return check_set_up(c, op, shape, row) ? check_time_there(c, effort->rounds, effort->launches, sl_clock) : 0.0;
}

/* The end of a line: how long it took, and so how much a second. False: the device failed. */
static bool print_time(double seconds, double amount, const char *unit)
{
    if (seconds > 0.0)
        printf(" %9.1f us %9.1f %s\n", 1e6 * seconds, 1e-9 * amount / seconds, unit);
    else
        printf(" %s: %s\n", seconds < 0.0 ? "failed" : "refused", sl_last_error());
    fflush(stdout);
    return seconds >= 0.0;
}

/* What a step in bf16 or tf32 would run; what is for fp32 alone is not the question here. */
static bool is_compared(const struct sl_kernel_row *row)
{
    return strncmp(row->name, "plain", 5) != 0;
}

/* One pass of one layer: all rows. */
static bool bench_pass(const struct sl_device *device, const char *layer, enum sl_op op, struct sl_conv2d shape,
                       const struct effort *effort)
{
    bool done = true;
    for (size_t i = 0; i < device->row_count; i++) {
        const struct sl_kernel_row *row = &device->rows[i];
        struct check_case c;
        if (row->op != op || !is_asked(effort, device, row) || !is_compared(row))
            continue;
        shape.element = row->kernel->element;
        struct sl_need need;
        if (!sl_row_takes(row, op, &shape, device->isa, &need))
            continue;
        const double seconds = measure(device, check_find_op(op), &shape, 0, row, effort, &c);
        check_release(&c);
        printf("%-4s %-20s %-24s", layer, sl_op_name(op), row->name);
        done = print_time(seconds, sl_conv2d_flops(&shape), "GFLOP/s") && done;
    }
    return done;
}

static bool bench_layer(const struct sl_device *device, const char *line, const struct effort *effort)
{
    static const struct {
        char letter;
        enum sl_op op;
    } passes[] = {{'f', SL_OP_conv2d_fwd}, {'d', SL_OP_conv2d_bwd_data}, {'w', SL_OP_conv2d_bwd_weights}};
    char name[32], letters[8];
    struct sl_conv2d s = {.n = effort->batch};
    bool done = true;
    if (sscanf(line, "%31s %d %d %d %d %d %d %d %d %d %d %d %7s", name, &s.h, &s.w, &s.c, &s.k, &s.kh, &s.kw,
               &s.stride_h, &s.pad_top, &s.pad_left, &s.oh, &s.ow, letters) != 13)
        return true; /* a comment */
    if (effort->layer && strcmp(name, effort->layer) != 0)
        return true;
    s.stride_w = s.stride_h;
    s.xs = s.c == 3 ? 3 : sl_round_up(s.c, SL_LANES);
    s.ys = sl_round_up(s.k, SL_LANES);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (strchr(letters, passes[i].letter))
            done = bench_pass(device, name, passes[i].op, s, effort) && done;
    return done;
}

static bool bench_convolutions(const struct sl_device *device, const struct effort *effort)
{
    char line[256];
    bool done = true;
    FILE *file = fopen(SL_BENCH_SHAPES "/darknet.txt", "r");
    if (!file) {
        printf("cannot read %s/darknet.txt\n", SL_BENCH_SHAPES);
        return false;
    }
    while (fgets(line, sizeof line, file))
        done = (line[0] == '#' || bench_layer(device, line, effort)) && done;
    fclose(file);
    return done;
}

/* A row on the measured shapes of its operation, or on the first of those to be checked. */
static bool bench_row(const struct sl_device *device, const struct sl_kernel_row *row, const struct effort *effort)
{
    const struct check_op *op = check_find_op(row->op);
    const size_t begin = effort->layer ? 0 : op->shapes, end = effort->layer ? 1 : op->shapes + op->measured;
    bool done = true;
    for (size_t i = begin; i < end; i++) {
        struct check_case c;
        char name[128];
        if (!check_takes(op, i, row))
            continue;
        const double seconds = measure(device, op, op->shape(i, name, sizeof name), i, row, effort, &c);
        const struct check_traffic traffic = check_traffic_of(&c);
        check_release(&c);
        printf("%-44s %-28.28s", row->symbol, name);
        done = print_time(seconds, (double)(traffic.reads + traffic.writes), "GB/s") && done;
    }
    return done;
}

static bool bench_others(const struct sl_device *device, const struct effort *effort)
{
    bool done = true;
    for (size_t i = 0; i < device->row_count; i++) {
        const enum sl_op op = device->rows[i].op;
        const bool convolves = op == SL_OP_conv2d_fwd || op == SL_OP_conv2d_pool_fwd || op == SL_OP_conv2d_bwd_data ||
                               op == SL_OP_conv2d_bwd_weights;
        if (!convolves && is_asked(effort, device, &device->rows[i]))
            done = bench_row(device, &device->rows[i], effort) && done;
    }
    return done;
}

int main(int argc, char **argv)
{
    const bool alone = argc > 1 && !strcmp(argv[1], "--emulated");
    const char *pattern = argc > 1 + alone ? argv[1 + alone] : "";
    struct effort effort = alone ? emulated : real;
    struct sl_device device;
    if (argc > 2 + alone || pattern[0] == '-') {
        fprintf(stderr, "usage: gpu_bench [--emulated] [PATTERN]\n");
        return SL_USAGE;
    }
    effort.pattern = pattern;
    const int rc = alone ? emulated_device_open(&device)
                         : sl_backend_open(&(struct sl_backend_options){.name = "cuda", .tf32 = true}, &device);
    if (rc != SL_OK) {
        printf("skipped: %s\n", sl_last_error());
        return SKIP;
    }
    printf("gpu_bench on %s: batch %d, medians of %d rounds of %d launches\n", device.name, effort.batch, effort.rounds,
           effort.launches);
    const bool done = bench_convolutions(&device, &effort) && bench_others(&device, &effort);
    if (!done)
        printf("the device failed: %s\n", sl_last_error());
    device.close(device.self);
    return !done;
}
