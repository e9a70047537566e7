#include "apps/cli_ranks.h"

#include <stdio.h>
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
    return sl_machine_memory("") / 5 * 4 / (uint64_t)sl_comm_local_size(ranks->comm);
}

/* What follows "rank R on HOST" of one of us; "": the text does not begin so. */
static const char *behind_name(const struct sl_group *group, const char *text)
{
    int rank, length = 0;
    if (sscanf(text, "rank %d on %n", &rank, &length) != 1 || !length || rank < 0 || rank >= group->size)
        return "";
    const size_t host = strlen(group->hosts[rank]);
    return strncmp(text + length, group->hosts[rank], host) ? "" : text + (size_t)length + host;
}

/* "rank R on HOST: ...": what sl_group_settle said on all ranks. */
static bool is_settled(const struct sl_group *group, const char *text)
{
    return *behind_name(group, text) == ':';
}

/* Does every rank have this status? What is settled, and what is agreed by its nature. */
static bool is_shared(const struct sl_group *group, int rc)
{
    return rc == SL_OK || rc == SL_PREEMPTED || rc == SL_DISAGREE || rc == SL_NUMERICS ||
           is_settled(group, sl_last_error());
}

int cli_ranks_end(struct cli_ranks *ranks, int rc)
{
    const struct sl_group *group = ranks->group;
    const bool shared = sl_group_size(group) == 1 || is_shared(group, rc);
    if (!shared && *behind_name(group, sl_last_error()) != ',') /* "rank R on HOST, 1 of 2 there: ..." */
        sl_fail_prefix(rc, "rank %d on %s", group->rank, group->hosts[group->rank]);
    if (sl_group_rank(group) == 0 || !shared)
        rc = cli_end(rc);
    else
        cli_end_silently();
    if (shared)
        sl_comm_close_together(ranks->comm, rc);
    else
        sl_comm_close(ranks->comm, rc);
    *ranks = (struct cli_ranks){0};
    return rc;
}
