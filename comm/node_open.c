/* Which ranks are a node, and how its calls are waited for. */
#include "comm/node.h"

#include <stdio.h>
#include <stdlib.h>

#include "comm/node_module.h"
#include "comm/timer.h"
#include "runtime/base/module.h"

/* ---- alone ---- */

static int keep(void *self, struct sl_span span)
{
    (void)self, (void)span;
    return SL_OK;
}

static int leave_nobody(void *self)
{
    (void)self;
    return SL_OK;
}

static int be_done(void *self, bool *done)
{
    (void)self;
    *done = true;
    return SL_OK;
}

static void do_nothing(void *self)
{
    (void)self;
}

static const struct sl_node alone = {.name = "alone",
                                     .rank = 0,
                                     .size = 1,
                                     .reduce = keep,
                                     .broadcast = keep,
                                     .leave = leave_nobody,
                                     .test = be_done,
                                     .abort = do_nothing,
                                     .close = do_nothing};

/* ---- the plug-in ---- */

static int find_module(struct sl_module_search *search, sl_node_module_open_fn **open)
{
    if (!sl_module_find("nccl", search))
        return sl_fail(SL_UNAVAILABLE, "there is no plug-in for NCCL: looked for %s", search->looked);
    return sl_module_load(search->found, false, SL_NODE_MODULE_OPEN, open);
}

/* `text`, which may be NULL: what was found, for people. */
static int load_module(struct sl_node_module *module, char *text, size_t bytes)
{
    int rc = SL_OK;
    const struct sl_node_host host = {.abi = SL_NODE_ABI, .build = SL_KERNELS_ABI, .fail = sl_fail};
    sl_node_module_open_fn *open;
    struct sl_module_search *search = malloc(sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for the plug-in for NCCL");
    SL_TRY(find_module(search, &open));
    SL_TRY(open(&host, module));
    if (text)
        snprintf(text, bytes, "NCCL %d.%d.%d by %s", module->version / 10000, module->version / 100 % 100,
                 module->version % 100, search->found);
out:
    free(search);
    return rc;
}

int sl_node_look(char *text, size_t bytes)
{
    struct sl_node_module module;
    return load_module(&module, text, bytes);
}

/* ---- opening ---- */

struct key {
    char text[SL_NODE_KEY_BYTES];
};

/* The first rank of every node makes a key, and all get all. */
static int share_key(struct sl_comm *comm, const struct sl_node_module *module, bool makes, struct key *key)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    struct key mine = {""}, *all = malloc((size_t)group->size * sizeof *all);
    if (!all)
        rc = sl_fail(SL_SYSTEM, "out of memory for the keys of %d ranks", group->size);
    else if (makes)
        rc = module->make_key(mine.text);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
    *key = all[sl_comm_leader(comm)];
out:
    free(all);
    return rc;
}

/* What a rank tells the others before they join. */
struct candidate {
    int32_t leader; /* of its host */
    int32_t apart;  /* its device has memory of its own */
};

/* Do the ranks of a host join? All of them, or none. */
static bool host_joins(const struct candidate *all, int ranks, int leader)
{
    int count = 0;
    for (int i = 0; i < ranks; i++) {
        if (all[i].leader != leader)
            continue;
        if (!all[i].apart)
            return false;
        count++;
    }
    return count > 1;
}

/* *joins: this rank's host does; *any: one does. */
static int ask_hosts(struct sl_comm *comm, const struct sl_device *device, bool *joins, bool *any)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    const struct candidate mine = {sl_comm_leader(comm), !device->host_memory};
    struct candidate *all = calloc((size_t)group->size, sizeof *all);
    if (!all)
        rc = sl_fail(SL_SYSTEM, "out of memory for the devices of %d ranks", group->size);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
    *joins = host_joins(all, group->size, mine.leader);
    *any = false;
    for (int i = 0; i < group->size; i++)
        *any = *any || host_joins(all, group->size, all[i].leader);
out:
    free(all);
    return rc;
}

/* Who has begun to join is watched: some others may never come. Who cannot join tells those who wait for it. */
static int meet(struct sl_comm *comm, const struct sl_node *node)
{
    sl_comm_guard(comm, node->abort, node->self);
    const int rc = sl_comm_wait_for(comm, node->test, node->self);
    if (rc != SL_OK)
        node->abort(node->self);
    return rc;
}

/* The end of a library may wait for others; nobody can interrupt it. */
static void drop(struct sl_comm *comm, struct sl_node *node)
{
    enum { DROP_LIMIT = 60 };
    struct sl_timer *deadline = NULL;
    sl_comm_guard(comm, NULL, NULL);
    if (node->size > 1)
        (void)sl_timer_deadline(DROP_LIMIT, "leaving the ranks of this host", &deadline);
    node->close(node->self);
    sl_timer_close(deadline);
    *node = (struct sl_node){0};
}

int sl_node_open(struct sl_comm *comm, const struct sl_device *device, struct sl_node *node)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    bool joins, any;
    struct sl_node_module module;
    struct key key;
    *node = alone;
    SL_TRY(ask_hosts(comm, device, &joins, &any));
    if (!any)
        goto out;
    if (joins)
        rc = load_module(&module, NULL, 0);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(share_key(comm, &module, joins && sl_comm_local_rank(comm) == 0, &key));
    if (joins)
        rc = module.join(device, key.text, sl_comm_local_rank(comm), sl_comm_local_size(comm), node);
    SL_TRY(sl_group_settle(group, rc));
    SL_TRY(sl_group_settle(group, meet(comm, node)));
out:
    if (rc != SL_OK)
        drop(comm, node);
    return rc;
}

/* ---- calls ---- */

/* Says whose call it was: the program that is told knows neither. */
static int name_rank(const struct sl_comm *comm, const struct sl_node *node, int rc)
{
    const struct sl_group *group = sl_comm_group(comm);
    if (rc == SL_OK)
        return rc;
    return sl_fail_prefix(rc, "rank %d on %s, %d of %d there", group->rank, group->hosts[group->rank], node->rank + 1,
                          node->size);
}

int sl_node_reduce(struct sl_comm *comm, const struct sl_node *node, struct sl_span span)
{
    const int rc = node->reduce(node->self, span);
    return name_rank(comm, node, rc == SL_OK ? sl_comm_wait_for(comm, node->test, node->self) : rc);
}

int sl_node_broadcast(struct sl_comm *comm, const struct sl_node *node, struct sl_span span)
{
    const int rc = node->broadcast(node->self, span);
    return name_rank(comm, node, rc == SL_OK ? sl_comm_wait_for(comm, node->test, node->self) : rc);
}

/* ---- closing ---- */

int sl_node_close(struct sl_comm *comm, struct sl_node *node, int rc)
{
    int left = SL_OK;
    if (!node->close)
        return SL_OK;
    if (rc == SL_OK)
        left = node->leave(node->self);
    if (rc == SL_OK && left == SL_OK)
        left = sl_comm_wait_for(comm, node->test, node->self);
    left = name_rank(comm, node, left);
    drop(comm, node);
    return left;
}
