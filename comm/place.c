#include "comm/place.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_local(const struct sl_group *group, int rank)
{
    return !strcmp(group->hosts[rank], group->hosts[group->rank]);
}

static double share(const struct sl_group *group, const cpu_set_t *sets)
{
    double sum = 0.0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int users = 0;
        if (!CPU_ISSET(cpu, &sets[group->rank]))
            continue;
        for (int i = 0; i < group->size; i++)
            users += is_local(group, i) && CPU_ISSET(cpu, &sets[i]);
        sum += 1.0 / users;
    }
    return sum;
}

/* All CPUs there are, where the kernel has more than the set has room for. */
static void read_affinity(cpu_set_t *set)
{
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    CPU_ZERO(set);
    if (sched_getaffinity(0, sizeof *set, set) == 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE && cpu < online; cpu++)
        CPU_SET(cpu, set);
}

int sl_place_threads(const struct sl_group *group, int *threads)
{
    int rc = SL_OK;
    cpu_set_t mine, *all = calloc((size_t)group->size, sizeof *all);
    if (!all)
        SL_FAIL(SL_SYSTEM, "out of memory for the processors of %d ranks", group->size);
    read_affinity(&mine);
    SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
    const double cpus = share(group, all) + 1e-6; /* thirds add up to a little less than one */
    *threads = cpus < 1.0 ? 1 : (int)cpus;
out:
    free(all);
    return rc;
}
