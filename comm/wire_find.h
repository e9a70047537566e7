/* Finds the wire of the launcher that started this process. Its library is loaded only then: a process that nobody
 * launched touches none, and runs where none is installed. */
#ifndef SL_COMM_WIRE_FIND_H
#define SL_COMM_WIRE_FIND_H

#include "comm/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* *name: "openmpi" or "mpich", by the variables that mpirun and srun leave; NULL: no launcher, this process is alone.
 * SL_WIRE=openmpi|mpich|none decides instead. SL_BAD_CONFIG: SL_WIRE is misspelt. SL_UNAVAILABLE: srun started several
 * tasks that cannot find each other. */
int sl_wire_choose(const char **name);

/* Loads libstarling_wire_NAME.so from SL_MODULE_PATH (folders, separated by colons), from beside the program, or from
 * where it was installed, and opens its wire. Collective. A library whose start takes longer than `start_limit` seconds
 * (0: 600) cannot be interrupted: the process ends with SL_IO. SL_UNAVAILABLE: there is no such module, or it cannot be
 * used. SL_IO, SL_SYSTEM. */
int sl_wire_load(const char *name, double start_limit, struct sl_wire *wire);

/* The wires that are known, in order: "openmpi", "mpich"; NULL past the end. */
const char *sl_wire_name(size_t index);

/* For a report: where the module of that wire lies. It is loaded with its library of MPI, which stays, and not started;
 * a process that is going to open a wire does not ask. SL_UNAVAILABLE says what is missing. SL_BAD_CONFIG, SL_SYSTEM.
 */
int sl_wire_look(const char *name, char *path, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
