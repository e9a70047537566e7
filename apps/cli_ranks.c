#include "apps/cli_ranks.h"

#include <string.h>

#include "apps/cli.h"
#include "comm/place.h"
#include "comm/wire_find.h"
#include "comm/wire_loop.h"
#include "runtime/device/machine.h"

int cli_ranks_open(const struct sl_comm_options *options, struct cli_ranks *ranks)
{
    int rc = SL_OK;
    struct sl_wire wire;
    const char *name;
    *ranks = (struct cli_ranks){0};
    SL_TRY(sl_wire_choose(&name));
    if (!name)
        goto out;
    SL_TRY(sl_wire_load(name, options->start_limit, &wire));
    SL_TRY(sl_comm_open(&wire, options, &ranks->comm));
    ranks->group = sl_comm_group(ranks->comm);
out:
    return rc;
}

int cli_ranks_open_alone(struct cli_ranks *ranks)
{
    int rc = SL_OK;
    const struct sl_comm_options options = {0};
    struct sl_wire wire;
    SL_TRY(sl_wire_loop_open(1, &wire));
    SL_TRY(sl_comm_open(&wire, &options, &ranks->comm));
    ranks->group = sl_comm_group(ranks->comm);
out:
    return rc;
}

int cli_ranks_threads(const struct cli_ranks *ranks, int wanted, int *threads)
{
    const struct sl_machine_threads most = sl_machine_threads("");
    int share, rc;
    *threads = wanted ? wanted : most.count;
    if (sl_group_size(ranks->group) == 1)
        return SL_OK;
    if ((rc = sl_place_threads(ranks->group, &share)) == SL_OK && !wanted && share < most.count)
        *threads = share;
    return rc;
}

uint64_t cli_ranks_memory(const struct cli_ranks *ranks, uint64_t wanted)
{
    if (wanted || sl_group_size(ranks->group) == 1)
        return wanted;
    return sl_machine_memory("") / 5 * 4 / (uint64_t)sl_place_local_size(ranks->group);
}

/* Does every rank have this error, by agreement? Settled texts name their rank; the rest is agreed by its nature. */
static bool is_shared(int rc)
{
    return rc == SL_PREEMPTED || rc == SL_DISAGREE || rc == SL_NUMERICS || !strncmp(sl_last_error(), "rank ", 5);
}

int cli_ranks_end(struct cli_ranks *ranks, int rc)
{
    const struct sl_group *group = ranks->group;
    const bool own = rc != SL_OK && !is_shared(rc);
    if (group && group->size > 1 && own)
        sl_fail_prefix(rc, "rank %d on %s", group->rank, group->hosts[group->rank]);
    if (sl_group_rank(group) == 0 || own)
        rc = cli_end(rc);
    else
        cli_end_silently();
    sl_comm_close(ranks->comm, rc);
    *ranks = (struct cli_ranks){0};
    return rc;
}
