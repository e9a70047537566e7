/* Memory of a device as the host reads it. */
#ifndef SL_RUNTIME_DEVICE_HOST_COPY_H
#define SL_RUNTIME_DEVICE_HOST_COPY_H

#include "kernels/exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *host is `from` itself where the host reads the device's memory, else a copy in *owned, which the caller frees (NULL
 * if there is none). Waits for the device. SL_SYSTEM. */
int sl_host_copy(const struct sl_device *device, const void *from, size_t bytes, const void **host, void **owned);

#ifdef __cplusplus
}
#endif
#endif
