/* What the plug-in for the ranks of a node (libstarling_nccl.so) and the program that loads it must agree on. The
 * plug-in exports one function and uses nothing of the program's but what it is handed. */
#ifndef SL_COMM_NODE_MODULE_H
#define SL_COMM_NODE_MODULE_H

#include "comm/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first grows when a structure of node.h or the meaning of a verb changes. The first member of sl_node_host never
 * changes its place. */
enum { SL_NODE_ABI = 2, SL_NODE_KEY_BYTES = 128, SL_NODE_BUILD_BYTES = 33 };

struct sl_node_host {
    uint32_t abi;
    char build[SL_NODE_BUILD_BYTES]; /* the hash of all headers of kernels/, whose device the plug-in is handed */
    int (*fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3))); /* sl_fail */
};

struct sl_node_module {
    int version; /* of NCCL: 10000 * major + 100 * minor + patch */
    /* By rank 0 of a node, for all of it. SL_UNAVAILABLE. */
    int (*make_key)(char key[SL_NODE_KEY_BYTES]);
    /* Collective; begins to join, and the node's test says when all have. The device stays the caller's, and lives
     * longer. SL_UNAVAILABLE, also of test until it is done: NCCL cannot be used. SL_SYSTEM. */
    int (*join)(const struct sl_device *device, const char key[SL_NODE_KEY_BYTES], int rank, int size,
                struct sl_node *node);
};

#define SL_NODE_MODULE_OPEN "sl_node_module_open"

/* SL_UNAVAILABLE: another build, NCCL is not there, or it is too old. */
typedef int sl_node_module_open_fn(const struct sl_node_host *host, struct sl_node_module *module);

#ifdef __cplusplus
}
#endif
#endif
