#include "runtime/device/host_copy.h"

#include <stdlib.h>

int sl_host_copy(const struct sl_device *device, const void *from, size_t bytes, const void **host, void **owned)
{
    int rc = SL_OK;
    *host = from;
    *owned = NULL;
    SL_TRY(device->sync(device->self));
    if (device->host_memory)
        goto out;
    if (!(*owned = malloc(bytes + 1)))
        SL_FAIL(SL_SYSTEM, "out of memory for %zu bytes of the device %s", bytes, device->name);
    *host = *owned;
    SL_TRY(device->copy(device->self, *owned, from, bytes));
out:
    if (rc != SL_OK) {
        free(*owned);
        *owned = NULL;
    }
    return rc;
}
