/* Where a program computes, and how exactly: options that all programs that compute have, and the device that follows
 * from them. */
#ifndef SL_APPS_CLI_DEVICE_H
#define SL_APPS_CLI_DEVICE_H

#include "apps/cli.h"
#include "apps/cli_ranks.h"
#include "kernels/exec.h"

struct cli_device_options {
    const char *backend, *precision;
    int64_t index; /* of the GPU */
    uint64_t memory_limit;
    bool backend_given, index_given, memory_given;
};

/* Lists without an end of their own. clang-format takes them for blocks. */
/* clang-format off */
#define CLI_DEVICE_DEFAULTS {.backend = "auto", .precision = "fp32"}

/* The rows of these options in a program's table. */
#define CLI_DEVICE_OPTIONS(o)                                                                                         \
    {"backend", "NAME", "auto, cuda or cpu (default auto: a GPU where one can be used; cuda never falls back)",       \
     .kind = CLI_CHOICE, .value = &(o)->backend, .choices = "auto|cuda|cpu", .given = &(o)->backend_given},           \
    {"device", "N", "Which GPU, from 0 on (default 0; ranks on one host take one each, in turn)",                     \
     .kind = CLI_INT, .value = &(o)->index, .most = 1023, .given = &(o)->index_given},                                \
    {"device-memory-limit", "BYTES",                                                                                  \
     "Of the GPU's memory, taken at once (default: nine tenths of what is free; ranks on one GPU share it)",          \
     .kind = CLI_BYTES, .value = &(o)->memory_limit, .least = 1, .most = 1e15, .given = &(o)->memory_given},          \
    {"precision", "fp32|tf32|bf16",                                                                                   \
     "Of activations: fp32, or bf16, which is half the memory and rounds more; tf32: fp32, whose products a GPU's "   \
     "tensor cores round (default fp32)",                                                                             \
     .kind = CLI_CHOICE, .value = &(o)->precision, .choices = "fp32|tf32|bf16"}
/* clang-format on */

/* Of --kernels, which a program may explain further. */
#define CLI_KERNELS_HELP                                                                                             \
    "How kernels are chosen. shipped: in the table's order (default); fastest: measured here once, and remembered; " \
    "exact: in the table's order, and every multiplication is one of the formula's; own: in the table's order, and " \
    "none of a library; cudnn: cuDNN's, where it has one"

enum { CLI_DEVICE_OPTION_ROWS = 4, CLI_DEVICE_LINE = 1024 };

/* SL_USAGE: words that contradict each other. */
int cli_device_check(const struct cli_device_options *options);

/* The device, which the caller closes, and a line that says which it is and why no other. `threads`: of the processor.
 * `ranks`: NULL is alone. The errors of sl_backend_open. */
int cli_device_open(const struct cli_device_options *options, const struct cli_ranks *ranks, int threads,
                    struct sl_device *device, char line[CLI_DEVICE_LINE]);

/* Is that line worth a place on the terminal? A machine without a GPU that nobody asked about is not. */
bool cli_device_is_news(const struct cli_device_options *options, const struct sl_device *device);

#endif
