/* Somebody else's program: opens the CPU device, asks the table what it holds, and shares a sum with itself. */
#include <stdio.h>

#include "comm/exchange.h"
#include "comm/wire_find.h"
#include "comm/wire_loop.h"
#include "kernels/kernels.h"
#include "runtime/device/parallel.h"

/* Under a launcher its wire, otherwise a loop of one. */
static int join_others(struct sl_comm **comm)
{
    int rc = SL_OK;
    const struct sl_comm_options options = {0};
    struct sl_wire wire;
    const char *name;
    SL_TRY(sl_wire_choose(&name));
    SL_TRY(name ? sl_wire_load(name, 0, &wire) : sl_wire_loop_open(1, &wire));
    SL_TRY(sl_comm_open(&wire, &options, comm));
out:
    return rc;
}

static int share(struct sl_comm *comm, const struct sl_device *device)
{
    int rc = SL_OK;
    float values[4] = {1, 2, 3, 4};
    const struct sl_exchange_row *row = sl_exchange_find("dense");
    const struct sl_exchange_options options = {.comm = comm, .device = device, .n = 4};
    void *exchange = NULL;
    SL_TRY(row->open(&options, &exchange));
    SL_TRY(row->gradient(exchange, (struct sl_span){values, 4}, 1, true));
    printf("rank %d of %d: %g\n", sl_comm_group(comm)->rank, sl_comm_group(comm)->size, (double)values[3]);
out:
    row->close(exchange);
    return rc;
}

int main(void)
{
    int rc = SL_OK;
    struct sl_device device = {0};
    struct sl_comm *comm = NULL;
    SL_TRY(sl_device_cpu_open(1, &device));
    printf("device %s, instruction sets %s, %zu kernels\n", device.name, sl_isa_text(device.isa), sl_kernel_row_count);
    SL_TRY(join_others(&comm));
    SL_TRY(share(comm, &device));
out:
    if (rc != SL_OK)
        fprintf(stderr, "%s\n", sl_last_error());
    sl_comm_close(comm, rc);
    if (device.close)
        device.close(device.self);
    return rc;
}
