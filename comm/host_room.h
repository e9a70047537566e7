/* Memory of the host that a device's copies come from and go to: pinned where the device has that, so that its engine
 * moves them by itself. After a copy from or to it the device has to be done (sync) before the host touches it. */
#ifndef SL_COMM_HOST_ROOM_H
#define SL_COMM_HOST_ROOM_H

#include <stdlib.h>

#include "kernels/exec.h"

/* 64-byte aligned. SL_SYSTEM, SL_UNAVAILABLE. */
static inline int sl_host_room_open(const struct sl_device *device, size_t bytes, void **room)
{
    enum { ALIGNMENT = 64 };
    if (device->alloc_pinned)
        return device->alloc_pinned(device->self, bytes, room);
    *room = aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
    return *room ? SL_OK : sl_fail(SL_SYSTEM, "out of memory for %zu bytes beside a device", bytes);
}

/* NULL is closed already. */
static inline void sl_host_room_close(const struct sl_device *device, void *room)
{
    if (!device->alloc_pinned)
        free(room);
    else if (room)
        device->free_pinned(device->self, room);
}

/* Until copies from or to such memory are done. */
static inline int sl_host_room_wait(const struct sl_device *device)
{
    return device->alloc_pinned ? device->sync(device->self) : SL_OK;
}
#endif
