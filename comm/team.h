/* The ranks of a job by nodes. Within a node their devices sum among themselves (node.h); of each node one rank, its
 * speaker, talks to the other nodes' speakers over the wire, and hands on what it hears.
 *
 * What an exchange means is said of ranks, however they are spread: the mean is that over all ranks, the sum that of
 * all, and a rank's samples count where they were seen. What is kept back, encoded and sent belongs to a node:
 *   threshold  the node's residual takes the sum of its ranks' updates. It is encoded once, and the threshold compares
 *              with that sum; what the weights lose is the quanta of all nodes, times 1/ranks for the mean. The
 *              speaker's residual is the node's, those of the others are zero: the sum over the ranks is what is kept
 *              back, so that a run may go on with other ranks to a node and loses nothing
 *   updates    the sum over a node, then over the nodes
 *   dense      the gradients times their samples, summed over a node at the end of the backward pass; between nodes a
 *              node counts as much as all its samples
 * Where every rank is a node by itself, as on processors, all of this is as if there were no nodes. */
#ifndef SL_COMM_TEAM_H
#define SL_COMM_TEAM_H

#include "comm/node.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_team {
    struct sl_comm *comm;     /* of all ranks */
    struct sl_node node;      /* that this rank belongs to */
    struct sl_comm *speakers; /* of the nodes; comm itself where every rank is one; NULL: this rank is none */
    int ranks, nodes;
    char why[512]; /* ranks of one host are nodes each: the reason, for people; "": there is none to tell */
};

/* Collective: joins the ranks of each host whose devices have memory of their own. Where they cannot be joined every
 * rank is a node, and `why` says what is missing. SL_IO, SL_SYSTEM. On failure it is closed. */
int sl_team_open(struct sl_comm *comm, const struct sl_device *device, struct sl_team *team);

/* Before comm is closed, with the same status (sl_node_close). One that is all zeros is closed already. */
int sl_team_close(struct sl_team *team, int rc);

/* Every rank is a node. It needs no closing. */
struct sl_team sl_team_apart(struct sl_comm *comm);

static inline bool sl_team_speaks(const struct sl_team *team)
{
    return team->speakers;
}

/* Does anybody sum in a node? Then all ranks make its calls. */
static inline bool sl_team_joins(const struct sl_team *team)
{
    return team->speakers != team->comm || !sl_node_is_alone(&team->node);
}

/* A span in the memory of the device: the speaker's becomes the sum over the node, everybody's the speaker's. Nothing
 * happens where nobody joins. Collective over all ranks. */
int sl_team_reduce(const struct sl_team *team, struct sl_span span);
int sl_team_broadcast(const struct sl_team *team, struct sl_span span);

#ifdef __cplusplus
}
#endif
#endif
