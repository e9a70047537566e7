/* A file of a checkpoint as its manifest lists it: what its writer says, and what readers compare it with. */
#ifndef SL_RUNTIME_STORE_ENTRY_H
#define SL_RUNTIME_STORE_ENTRY_H

#include "kernels/base.h"

enum {
    SL_STORE_MAX_FILES = 4096, /* of a checkpoint */
    SL_STORE_MAX_WORLD = SL_STORE_MAX_FILES - 2,
    SL_STORE_NAME = 64, /* bytes of a file's name, its end included */
};

struct sl_store_entry {
    char name[SL_STORE_NAME];
    uint64_t bytes, hash;
};

#endif
