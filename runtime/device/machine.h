/* What this machine has, as the operating system tells it (Linux: /proc, /sys, control groups). */
#ifndef SL_RUNTIME_DEVICE_MACHINE_H
#define SL_RUNTIME_DEVICE_MACHINE_H

#include "runtime/device/control_group.h"

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
    struct sl_cache caches[SL_MACHINE_CACHES]; /* of the first CPU */
    int cache_count;
    uint64_t memory_total, memory_available; /* bytes */
    char huge_pages[16]; /* who gets them: "always", "madvise" (who asks, as the CPU device does), "never" */
    struct sl_group_limits groups;
};

/* Reads them all; never fails. `root`, here and below: "" is this machine, a test has a folder with proc/ and sys/. */
void sl_machine_read(const char *root, struct sl_machine *machine);

/* Bytes that are left for this process: what the machine has available, or the control groups' limit where that is
 * less. 0: unknown. */
uint64_t sl_machine_memory(const char *root);

/* Threads a run gets by default, and what bounds them: the least of the CPUs this process may use, the control groups'
 * quota (rounded up), OMP_NUM_THREADS and OMP_THREAD_LIMIT. */
struct sl_machine_threads {
    int count;
    const char *bound;
};
struct sl_machine_threads sl_machine_threads(const char *root);

#ifdef __cplusplus
}
#endif
#endif
