/* A node of one rank over the plug-in for NCCL: what a machine with a single GPU can try of it. */
#ifndef SL_TESTS_GPU_NODE_OF_ONE_H
#define SL_TESTS_GPU_NODE_OF_ONE_H

#include <stdio.h>
#include <stdlib.h>

#include "comm/node_module.h"
#include "runtime/base/module.h"

/* As the end of a call is waited for, without sleeping: it is timed. */
static inline int node_wait(const struct sl_node *node)
{
    bool done = false;
    int rc = SL_OK;
    while (rc == SL_OK && !done)
        rc = node->test(node->self, &done);
    return rc;
}

static inline int node_find(const char *build, struct sl_module_search *search, struct sl_node_module *module)
{
    int rc = SL_OK;
    struct sl_node_host host = {.abi = SL_NODE_ABI, .fail = sl_fail};
    sl_node_module_open_fn *open;
    snprintf(host.build, sizeof host.build, "%s", build);
    if (!sl_module_find("nccl", search))
        SL_FAIL(SL_UNAVAILABLE, "there is no plug-in for NCCL: looked for %s", search->looked);
    SL_TRY(sl_module_load(search->found, false, SL_NODE_MODULE_OPEN, &open));
    SL_TRY(open(&host, module));
out:
    return rc;
}

/* `build`: SL_KERNELS_ABI. SL_UNAVAILABLE: there is no plug-in or no NCCL. *version: of NCCL. */
static inline int node_of_one_open(const char *build, const struct sl_device *device, struct sl_node *node,
                                   int *version)
{
    int rc = SL_OK;
    char key[SL_NODE_KEY_BYTES];
    struct sl_node_module module;
    struct sl_module_search *search = malloc(sizeof *search);
    *node = (struct sl_node){0};
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory");
    SL_TRY(node_find(build, search, &module));
    *version = module.version;
    SL_TRY(module.make_key(key));
    SL_TRY(module.join(device, key, 0, 1, node));
    SL_TRY(node_wait(node));
out:
    if (rc != SL_OK && node->close)
        node->close(node->self);
    free(search);
    return rc;
}

static inline int node_of_one_close(struct sl_node *node)
{
    int rc = node->leave(node->self);
    if (rc == SL_OK)
        rc = node_wait(node);
    node->close(node->self);
    return rc;
}
#endif
