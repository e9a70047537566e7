/* One checkpoint: what is written into it, and a verified one opened for reading. */
#ifndef SL_RUNTIME_STORE_CHECKPOINT_H
#define SL_RUNTIME_STORE_CHECKPOINT_H

#include "runtime/store/entry.h"
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

/* ---- The files of ranks ---- */

/* "rank-0000.safetensors": what belongs to one rank of those that saved. */
void sl_checkpoint_rank_name(int rank, char name[SL_STORE_NAME]);

/* Does rank `rank` of a world of `world` go on from the file of rank `then` of a world of `world_then`? Each file has
 * one heir where ranks became fewer, who sees to several; where they became more, some files have several. */
bool sl_checkpoint_inherits(int rank, int world, int then, int world_then);

/* ---- Reading ---- */

/* A verified checkpoint: all of its files, or those that a rank needs. */
struct sl_checkpoint {
    uint64_t step;
    char *folder;
    int world; /* ranks whose files it lists; 0: none */
    size_t file_count;
    char **names;
    struct sl_safetensors **files;
};

/* Opens a checkpoint folder and compares every file with the manifest. SL_MISSING, SL_BAD_DATA: it is not whole, and
 * the message says where. SL_IO, SL_SYSTEM: it could not be read now. */
int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint);
/* The same, but of the files of ranks only those that this rank of a world goes on from; it does not look at the rest.
 */
int sl_checkpoint_open_for(const char *folder, int rank, int world, struct sl_checkpoint *checkpoint);
void sl_checkpoint_close(struct sl_checkpoint *checkpoint); /* a cleared one is fine */

/* Its file of that name, or NULL. */
const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name);

/* One file, compared with its entry. The errors of sl_checkpoint_open. */
int sl_checkpoint_open_entry(const char *folder, const struct sl_store_entry *entry, struct sl_safetensors **file);

/* Does the manifest there list exactly these files, and is each there in its size? Their content is not read. The
 * errors of sl_checkpoint_open. */
int sl_checkpoint_check_entries(const char *folder, const struct sl_store_entry *entries, size_t count);

#ifdef __cplusplus
}
#endif
#endif
