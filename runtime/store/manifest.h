/* manifest.json of a checkpoint: its step, and each file's name, size and hash; sealed with a hash of its own. */
#ifndef SL_RUNTIME_STORE_MANIFEST_H
#define SL_RUNTIME_STORE_MANIFEST_H

#include "runtime/store/entry.h"

struct sl_manifest {
    uint64_t step;
    size_t file_count;
    struct sl_store_entry *files;
};

/* May a file of a checkpoint have this name? Letters, digits, '.', '_' and '-', no '.' first, ".safetensors" at its
 * end. */
bool sl_manifest_name_valid(const char *name);

/* Writes FOLDER/manifest.json, which must not exist, and syncs it. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_manifest_write(const char *folder, const struct sl_manifest *manifest);

/* Reads FOLDER/manifest.json and checks its seal and every field. SL_MISSING, SL_BAD_DATA, SL_IO, SL_SYSTEM. */
int sl_manifest_read(const char *folder, struct sl_manifest *manifest);
void sl_manifest_close(struct sl_manifest *manifest);

#endif
