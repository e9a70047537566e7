#include "comm/team.h"

#include <stdio.h>

struct sl_team sl_team_apart(struct sl_comm *comm)
{
    const int ranks = sl_comm_group(comm)->size;
    return (struct sl_team){.comm = comm, .speakers = comm, .ranks = ranks, .nodes = ranks};
}

/* ---- opening ---- */

/* SL_OK also where they cannot: then all are apart. */
static int join(struct sl_team *team, const struct sl_device *device)
{
    const int rc = sl_node_open(team->comm, device, &team->node);
    if (rc != SL_UNAVAILABLE)
        return rc;
    snprintf(team->why, sizeof team->why, "%s", sl_last_error());
    return SL_OK;
}

static int count_nodes(struct sl_team *team)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(team->comm);
    const bool speaks = team->node.rank == 0;
    struct sl_vote vote = {.samples = speaks};
    SL_TRY(sl_group_vote(group, &vote));
    team->nodes = (int)vote.samples;
    if (team->nodes < team->ranks)
        SL_TRY(sl_comm_split(team->comm, speaks, &team->speakers));
out:
    return rc;
}

int sl_team_open(struct sl_comm *comm, const struct sl_device *device, struct sl_team *team)
{
    int rc = SL_OK;
    *team = sl_team_apart(comm);
    SL_TRY(join(team, device));
    SL_TRY(count_nodes(team));
out:
    if (rc != SL_OK)
        sl_team_close(team, rc);
    return rc;
}

int sl_team_close(struct sl_team *team, int rc)
{
    if (!team->comm)
        return SL_OK;
    if (team->speakers != team->comm)
        sl_comm_close_part(team->speakers);
    const int left = sl_node_close(team->comm, &team->node, rc);
    *team = (struct sl_team){0};
    return left;
}

/* ---- calls ---- */

int sl_team_reduce(const struct sl_team *team, struct sl_span span)
{
    return sl_team_joins(team) ? sl_node_reduce(team->comm, &team->node, span) : SL_OK;
}

int sl_team_broadcast(const struct sl_team *team, struct sl_span span)
{
    return sl_team_joins(team) ? sl_node_broadcast(team->comm, &team->node, span) : SL_OK;
}
