/* What the control groups of this process grant it (Linux, versions 1, 2 and both side by side). A limit of a group
 * holds for all groups in it, so every level from the process's own group up to the mount counts, and the least wins:
 * Slurm sets its limits on a job and a step, systemd on slices. */
#ifndef SL_RUNTIME_DEVICE_CONTROL_GROUP_H
#define SL_RUNTIME_DEVICE_CONTROL_GROUP_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_GROUP_FILE_ROOM = 512 };

struct sl_group_limits {
    uint64_t memory;      /* bytes; 0: no limit */
    uint64_t memory_left; /* of the level that has the least left: its limit without what its processes hold, files they
                             have read not counted, which give way; at least 1; 0: no limit */
    double cpus;          /* CPUs of time; 0: no limit */
    char memory_file[SL_GROUP_FILE_ROOM], cpus_file[SL_GROUP_FILE_ROOM]; /* who says so */
};

/* Reads /proc/self/cgroup, /proc/self/mountinfo and the groups' files, all below `root`: "" is this machine, a test has
 * a tree of its own. What cannot be read grants everything. */
void sl_group_limits_read(const char *root, struct sl_group_limits *limits);

#ifdef __cplusplus
}
#endif
#endif
