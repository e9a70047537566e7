#include "runtime/device/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/module.h"
#include "runtime/base/module.h"
#include "runtime/device/parallel.h"

/* ---- the GPU ---- */

enum { PEERS_MOST = 64, PEERS_TEXT = 224 };

/* The plug-in is loaded once, however often it is asked. */
static int load_cuda(struct sl_cuda_module *module)
{
    int rc = SL_OK;
    struct sl_cuda_host host = {.abi = SL_KERNELS_ABI, .fail = sl_fail};
    sl_cuda_module_open_fn *open;
    struct sl_module_search *search = malloc(sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for the CUDA plug-in");
    if (!sl_module_find("cuda", search))
        SL_FAIL(SL_UNAVAILABLE, "there is no plug-in: looked for %s", search->looked);
    SL_TRY(sl_module_load(search->found, false, SL_CUDA_MODULE_OPEN, &open));
    if ((rc = open(&host, module)) != SL_OK)
        sl_fail_prefix(rc, "%s", search->found);
out:
    free(search);
    return rc;
}

/* Which of them, and how many processes of this host have it. */
static int take_index(const struct sl_backend_options *options, int devices, int *sharers)
{
    const int size = options->local_size > 0 ? options->local_size : 1;
    if (options->index != SL_BACKEND_BY_RANK) {
        *sharers = size;
        return options->index;
    }
    const int index = options->local_rank % devices;
    *sharers = size / devices + (index < size % devices);
    return index;
}

/* Who comes second finds less free than who comes first: several processes share what the device has in all. */
static int share_memory(const struct sl_cuda_module *module, int index, int sharers, uint64_t *memory)
{
    int rc = SL_OK;
    struct sl_cuda_device_info info;
    if (*memory || sharers < 2)
        goto out;
    SL_TRY(module->describe(index, &info));
    *memory = info.memory_total / 10 * 9 / (uint64_t)sharers;
out:
    return rc;
}

/* SL_CUDA_GRAPH=on|off: are steps recorded? Unset: not under Nsight Systems or Nsight Compute, which set variables of
 * their own: they would see the first steps by layer, and one graph from then on. */
static int choose_recording(struct sl_device *device)
{
    const char *wanted = getenv("SL_CUDA_GRAPH");
    const bool given = wanted && *wanted;
    bool records = !getenv("NSYS_PROFILING_SESSION_ID") && !getenv("NV_NSIGHT_INJECTION_TRANSPORT_TYPE");
    if (given && strcmp(wanted, "on") != 0 && strcmp(wanted, "off") != 0)
        return sl_fail(SL_BAD_CONFIG, "SL_CUDA_GRAPH=%s: it must be on or off", wanted);
    if (given)
        records = !strcmp(wanted, "on");
    if (!records)
        device->record_begin = NULL;
    return SL_OK;
}

static int open_cuda(const struct sl_backend_options *options, struct sl_device *device)
{
    int rc = SL_OK, devices, sharers;
    uint64_t memory = options->device_memory;
    struct sl_cuda_module module;
    SL_TRY(load_cuda(&module));
    SL_TRY(module.count(&devices));
    const int index = take_index(options, devices, &sharers);
    if (index < 0 || index >= devices)
        SL_FAIL(SL_UNAVAILABLE, "there is no device %d: the devices are 0 to %d", index, devices - 1);
    SL_TRY(share_memory(&module, index, sharers, &memory));
    SL_TRY(module.open(index, memory, device));
    if ((rc = choose_recording(device)) != SL_OK || (rc = module.self_test(device)) != SL_OK)
        device->close(device->self);
    else if (options->tf32)
        device->isa |= SL_TF32;
out:
    return rc;
}

/* ", peer access to 1 2": of several devices, which one reaches without the host. */
static void describe_peers(const struct sl_cuda_device_info *info, int devices, char text[PEERS_TEXT])
{
    int n = 0;
    text[0] = '\0';
    if (devices > 1)
        n = snprintf(text, PEERS_TEXT, info->peers ? ", peer access to" : ", no peer access");
    for (int i = 0; i < PEERS_MOST && n < PEERS_TEXT - 1; i++)
        if (info->peers >> i & 1)
            n += snprintf(text + n, (size_t)(PEERS_TEXT - n), " %d", i);
}

static int describe_cuda(void (*tell)(void *self, const char *line), void *self)
{
    int rc = SL_OK, devices;
    char line[640 + PEERS_TEXT], peers[PEERS_TEXT];
    struct sl_cuda_module module;
    struct sl_cuda_device_info info;
    SL_TRY(load_cuda(&module));
    SL_TRY(module.count(&devices));
    for (int i = 0; i < devices; i++) {
        SL_TRY(module.describe(i, &info));
        describe_peers(&info, devices, peers);
        snprintf(line, sizeof line, "%d: %s, compute capability %d.%d, %d processors, %.1f GiB, %.1f free; cuDNN: %s%s",
                 i, info.name, info.major, info.minor, info.processors, (double)info.memory_total / 0x1p30,
                 (double)info.memory_free / 0x1p30, info.cudnn, peers);
        tell(self, line);
    }
out:
    return rc;
}

/* ---- the processor ---- */

static int open_cpu(const struct sl_backend_options *options, struct sl_device *device)
{
    if (options->tf32)
        return sl_fail(SL_UNAVAILABLE, "a processor has no tf32; use --precision fp32 or bf16");
    return sl_device_cpu_open(options->threads, device);
}

static int describe_cpu(void (*tell)(void *self, const char *line), void *self)
{
    tell(self, sl_isa_text(sl_isa()));
    return SL_OK;
}

/* ---- the choice ---- */

static const struct backend {
    const char *name, *variable;
    long priority;
    int (*open)(const struct sl_backend_options *options, struct sl_device *device);
    int (*describe)(void (*tell)(void *self, const char *line), void *self);
} backends[] = {
    {"cuda", "SL_BACKEND_PRIORITY_CUDA", 100, open_cuda, describe_cuda},
    {"cpu", "SL_BACKEND_PRIORITY_CPU", 0, open_cpu, describe_cpu},
};
enum { BACKENDS = sizeof backends / sizeof *backends, REASONS = 896 };

const char *sl_backend_name(size_t index)
{
    return index < BACKENDS ? backends[index].name : NULL;
}

static void report(const struct sl_backend_options *options, const char *device, const char *reasons)
{
    char line[REASONS + 64];
    if (!options->report)
        return;
    snprintf(line, sizeof line, "backend %s%s", device, reasons);
    options->report(options->self, line);
}

static int read_priority(const struct backend *backend, long *priority)
{
    const char *text = getenv(backend->variable);
    char *end;
    *priority = backend->priority;
    if (!text || !*text)
        return SL_OK;
    errno = 0;
    *priority = strtol(text, &end, 10);
    if (errno || *end)
        return sl_fail(SL_BAD_CONFIG, "%s=%s: it must be a number", backend->variable, text);
    return SL_OK;
}

/* Indexes of backends, the highest priority first; of equal ones the first of the table. */
static int rank_backends(int order[BACKENDS], int *count)
{
    long priorities[BACKENDS];
    *count = 0;
    for (int i = 0; i < BACKENDS; i++) {
        const int rc = read_priority(&backends[i], &priorities[i]);
        if (rc != SL_OK)
            return rc;
        if (priorities[i] < 0)
            continue;
        int at = (*count)++;
        for (; at > 0 && priorities[order[at - 1]] < priorities[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return SL_OK;
}

/* "; cuda is not used: ...". What does not fit is cut off. */
static void note_reason(char reasons[REASONS], const char *name)
{
    const size_t n = strlen(reasons);
    snprintf(reasons + n, REASONS - n, "; %s is not used: %s", name, sl_last_error());
}

/* The first that can be used. What is wrong with the processor is wrong with the run. */
static int open_best(const struct sl_backend_options *options, struct sl_device *device)
{
    int order[BACKENDS], count, rc = SL_OK;
    char reasons[REASONS] = "";
    SL_TRY(rank_backends(order, &count));
    for (int i = 0; i < count; i++) {
        const struct backend *backend = &backends[order[i]];
        sl_clear_error();
        rc = backend->open(options, device);
        if (rc == SL_OK)
            report(options, device->name, reasons);
        if (rc != SL_UNAVAILABLE)
            goto out;
        note_reason(reasons, backend->name);
    }
    SL_FAIL(SL_UNAVAILABLE, "no backend can be used%s%s", reasons,
            count < BACKENDS ? "; those whose SL_BACKEND_PRIORITY_... is negative are left out" : "");
out:
    return rc;
}

/* NULL: there is none of that name. */
static const struct backend *find_backend(const char *name)
{
    for (int i = 0; i < BACKENDS; i++)
        if (!strcmp(name, backends[i].name))
            return &backends[i];
    return NULL;
}

static int no_backend(const char *name)
{
    return sl_fail(SL_BAD_CONFIG, "no backend is called %s; there are auto, cuda and cpu", name);
}

int sl_backend_open(const struct sl_backend_options *options, struct sl_device *device)
{
    const char *name = options->name ? options->name : "auto";
    const struct backend *backend = find_backend(name);
    if (!strcmp(name, "auto"))
        return open_best(options, device);
    if (!backend)
        return no_backend(name);
    const int rc = backend->open(options, device);
    if (rc == SL_OK)
        report(options, device->name, "");
    return rc == SL_UNAVAILABLE ? sl_fail_prefix(rc, "the backend %s cannot be used", name) : rc;
}

int sl_backend_describe(const char *name, void (*tell)(void *self, const char *line), void *self)
{
    const struct backend *backend = find_backend(name);
    return backend ? backend->describe(tell, self) : no_backend(name);
}
