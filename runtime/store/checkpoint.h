/* One checkpoint: what is written into it, and a verified one opened for reading. */
#ifndef SL_RUNTIME_STORE_CHECKPOINT_H
#define SL_RUNTIME_STORE_CHECKPOINT_H

#include "runtime/store/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One file of a checkpoint, to be written. */
struct sl_store_file {
    const char *name; /* "model.safetensors" */
    const struct sl_named_tensor *tensors;
    size_t tensor_count;
    const struct sl_text_pair *metadata;
    size_t metadata_count;
};

/* A verified checkpoint. */
struct sl_checkpoint {
    uint64_t step;
    char *folder;
    size_t file_count;
    char **names;
    struct sl_safetensors **files;
};

/* Opens a checkpoint folder and compares every file with the manifest. SL_MISSING, SL_BAD_DATA: it is not whole, and
 * the message says where. SL_IO, SL_SYSTEM: it could not be read now. */
int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint);
void sl_checkpoint_close(struct sl_checkpoint *checkpoint); /* a cleared one is fine */

/* Its file of that name, or NULL. */
const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name);

#ifdef __cplusplus
}
#endif
#endif
