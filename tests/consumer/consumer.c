/* Somebody else's program: opens the CPU device and asks the table what it holds. */
#include <stdio.h>

#include "kernels/kernels.h"
#include "runtime/device/parallel.h"

int main(void)
{
    struct sl_device device;
    const int rc = sl_device_cpu_open(1, &device);
    if (rc != SL_OK) {
        fprintf(stderr, "%s\n", sl_last_error());
        return rc;
    }
    printf("device %s, instruction sets %s, %zu kernels\n", device.name, sl_isa_text(device.isa), sl_kernel_row_count);
    device.close(device.self);
    return SL_OK;
}
