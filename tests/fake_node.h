/* Nodes over the fake NCCL (tests/fake/fake_nccl.c), whose ranks are threads: who is on which host, and devices that
 * join. Without NCCL's headers there is neither plug-in nor fake, and SL_FAKE_NCCL is not defined. */
#ifndef SL_TESTS_FAKE_NODE_H
#define SL_TESTS_FAKE_NODE_H

#include <dlfcn.h>
#include <stdlib.h>

#include "tests/fake/fake_nccl.h"
#include "tests/rank_checks.h"

static inline struct fake_nccl *fake_node(void)
{
#ifdef SL_FAKE_NCCL
    void *library = dlopen(SL_FAKE_NCCL, RTLD_NOW | RTLD_LOCAL);
    struct fake_nccl *found = library ? dlsym(library, "fake_nccl") : NULL;
    assert_non_null(found);
    return found;
#else
    return NULL;
#endif
}

/* A set-up of cmocka. */
static inline int fake_node_use(void **state)
{
    (void)state;
#ifdef SL_FAKE_NCCL
    setenv("SL_MODULE_PATH", SL_MODULE_FOLDER, 1);
    setenv("SL_NCCL_LIBRARY", SL_FAKE_NCCL, 1);
#endif
    return 0;
}
#endif
