/* A wire between the threads of one process, for tests and for a job of one rank. */
#ifndef SL_COMM_WIRE_LOOP_H
#define SL_COMM_WIRE_LOOP_H

#include "comm/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills wires[size], one for each thread; each is closed by its thread, and the last frees what they share. SL_SYSTEM.
 */
int sl_wire_loop_open(int size, struct sl_wire *wires);

#ifdef __cplusplus
}
#endif
#endif
