/* What this machine has, as the operating system tells it (Linux: /proc, /sys, cgroups). */
#ifndef SL_RUNTIME_MACHINE_H
#define SL_RUNTIME_MACHINE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_MACHINE_CACHES = 8 };

struct sl_cache {
    int level;     /* 1, 2, 3 */
    char kind[16]; /* "Data", "Instruction", "Unified" */
    uint64_t bytes;
    int shared_by; /* logical CPUs */
};

/* What could not be found out is 0 or "". */
struct sl_machine {
    char cpu_model[128];
    int cpus_online, cpus_allowed;             /* of the machine; this process may use */
    double cpu_quota;                          /* CPUs of time the control group grants; 0: no limit */
    struct sl_cache caches[SL_MACHINE_CACHES]; /* of the first CPU */
    int cache_count;
    uint64_t memory_total, memory_available; /* bytes */
    uint64_t memory_limit;                   /* bytes the control group grants; 0: no limit */
};

/* Reads them all; never fails. */
void sl_machine_read(struct sl_machine *machine);

#ifdef __cplusplus
}
#endif
#endif
