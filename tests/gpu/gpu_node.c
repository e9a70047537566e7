/* NCCL on one GPU: joins a node of one, sums, broadcasts and leaves, and says how long each takes. It needs no library
 * but the plug-ins and NCCL.
 *   gpu_node [--emulated]
 * --emulated: on a GPU that is the processor, to test this program over a fake NCCL. Exit: 0, 1 (wrong numbers, or a
 * call failed), 77 (there is no GPU, no plug-in or no NCCL; the reason is printed). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/device/backend.h"
#include "tests/gpu/emulated_device.h"
#include "tests/gpu/node_of_one.h"

enum { SKIP = 77, FLOATS = 1077160, ROUNDS = 100 };

static float value(int i)
{
    return (float)(i % 1000) - 0.25f * (float)(i % 7);
}

/* Microseconds of a call, of the best of some rounds; negative: it failed. */
static double time_call(int (*call)(void *self, struct sl_span span), const struct sl_node *node, struct sl_span span)
{
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = sl_clock();
        if (call(node->self, span) != SL_OK || node_wait(node) != SL_OK)
            return -1.0;
        const double took = 1e6 * (sl_clock() - begin);
        best = took < best ? took : best;
    }
    return best;
}

static int compare(const struct sl_device *device, const float *there, float *here)
{
    int rc = SL_OK;
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, here, there, FLOATS * sizeof *here));
    for (int i = 0; i < FLOATS; i++)
        if (here[i] != value(i))
            SL_FAIL(SL_INTERNAL, "the sum over one rank made %g of %g at %d", (double)here[i], (double)value(i), i);
out:
    return rc;
}

static int try_node(const struct sl_device *device, const struct sl_node *node, float *here)
{
    int rc = SL_OK;
    void *there = NULL;
    SL_TRY(device->alloc(device->self, FLOATS * sizeof *here, &there));
    for (int i = 0; i < FLOATS; i++)
        here[i] = value(i);
    SL_TRY(device->copy(device->self, there, here, FLOATS * sizeof *here));
    const struct sl_span span = {there, FLOATS}, few = {there, 2};
    const struct {
        const char *name;
        int (*call)(void *self, struct sl_span span);
        struct sl_span span;
    } calls[] = {{"sum", node->reduce, span},
                 {"sum", node->reduce, few},
                 {"broadcast", node->broadcast, span},
                 {"broadcast", node->broadcast, few}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const double took = time_call(calls[i].call, node, calls[i].span);
        if (took < 0.0)
            SL_TRY(SL_IO);
        printf("%-9s %8zu floats %9.1f us\n", calls[i].name, calls[i].span.n, took);
    }
    SL_TRY(compare(device, there, here));
out:
    device->free(device->self, there);
    return rc;
}

static int run(const struct sl_device *device, const struct sl_node *node)
{
    float *here = malloc(FLOATS * sizeof *here);
    const int rc = here ? try_node(device, node, here) : sl_fail(SL_SYSTEM, "out of memory");
    free(here);
    return rc;
}

static int skip(struct sl_device *device)
{
    printf("skipped: %s\n", sl_last_error());
    if (device->close)
        device->close(device->self);
    return SKIP;
}

int main(int argc, char **argv)
{
    const bool emulated = argc == 2 && !strcmp(argv[1], "--emulated");
    int version = 0;
    struct sl_device device = {0};
    struct sl_node node;
    if (argc > 1 && !emulated) {
        fprintf(stderr, "usage: gpu_node [--emulated]\n");
        return SL_USAGE;
    }
    int rc = emulated
                 ? emulated_device_open(&device)
                 : sl_backend_open(&(struct sl_backend_options){.name = "cuda", .device_memory = 64 << 20}, &device);
    if (rc != SL_OK)
        return skip(&device);
    const double begin = sl_clock();
    if ((rc = node_of_one_open(SL_KERNELS_ABI, &device, &node, &version)) == SL_UNAVAILABLE)
        return skip(&device);
    const double joined = sl_clock() - begin;
    if (rc == SL_OK) {
        rc = run(&device, &node);
        const int left = node_of_one_close(&node);
        rc = rc == SL_OK ? left : rc;
    }
    if (rc == SL_OK)
        printf("gpu_node on %s: NCCL %d, joined in %.2f s, right\n", device.name, version, joined);
    else
        printf("FAILED: %s\n", sl_last_error());
    device.close(device.self);
    return rc != SL_OK;
}
