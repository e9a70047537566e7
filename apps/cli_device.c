#include "apps/cli_device.h"

#include <stdio.h>
#include <string.h>

#include "runtime/device/backend.h"

int cli_device_check(const struct cli_device_options *options)
{
    if (!strcmp(options->backend, "cpu") && (options->index_given || options->memory_given))
        return sl_fail(SL_USAGE, "--%s belongs to a GPU, and --backend cpu has none",
                       options->index_given ? "device" : "device-memory-limit");
    return SL_OK;
}

static void keep_line(void *self, const char *line)
{
    snprintf(self, CLI_DEVICE_LINE, "%s", line);
}

int cli_device_open(const struct cli_device_options *options, const struct cli_ranks *ranks, int threads,
                    struct sl_device *device, char line[CLI_DEVICE_LINE])
{
    const struct sl_comm *comm = ranks ? ranks->comm : NULL;
    const struct sl_backend_options backend = {
        .name = options->backend,
        .index = options->index_given ? (int)options->index : SL_BACKEND_BY_RANK,
        .local_rank = comm ? sl_comm_local_rank(comm) : 0,
        .local_size = comm ? sl_comm_local_size(comm) : 1,
        .device_memory = options->memory_limit,
        .threads = threads,
        .tf32 = !strcmp(options->precision, "tf32"),
        .report = keep_line,
        .self = line,
    };
    line[0] = '\0';
    return sl_backend_open(&backend, device);
}

bool cli_device_is_news(const struct cli_device_options *options, const struct sl_device *device)
{
    return options->backend_given || !device->host_memory;
}
