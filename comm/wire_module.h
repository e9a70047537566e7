/* What a wire that lives in a module (libstarling_wire_NAME.so) and the program that loads it must agree on. A module
 * exports one function and uses nothing of the program's but what it is handed. */
#ifndef SL_COMM_WIRE_MODULE_H
#define SL_COMM_WIRE_MODULE_H

#include "comm/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a structure of wire.h or the meaning of a verb changes. The first two members never change their place. */
enum { SL_WIRE_ABI = 2 };

struct sl_wire_host {
    uint32_t abi;
    int (*fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3))); /* sl_fail */
};

#define SL_WIRE_MODULE_OPEN "sl_wire_module_open"

/* Collective. SL_UNAVAILABLE: another ABI, or a library that cannot do what is needed. SL_IO, SL_SYSTEM. */
typedef int sl_wire_module_open_fn(const struct sl_wire_host *host, struct sl_wire *wire);

#ifdef __cplusplus
}
#endif
#endif
