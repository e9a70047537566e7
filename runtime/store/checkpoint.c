#include "runtime/store/checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/store/manifest.h"

static int open_file(const char *folder, const struct sl_manifest_file *listed, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    char *path = NULL;
    struct sl_safetensors *file = NULL;
    SL_TRY(sl_io_join(folder, listed->name, &path));
    SL_TRY(sl_safetensors_open_nofollow(path, &file));
    checkpoint->files[checkpoint->file_count] = file;
    if (!(checkpoint->names[checkpoint->file_count++] = strdup(listed->name)))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    if (sl_safetensors_bytes(file) != listed->bytes)
        SL_FAIL(SL_BAD_DATA, "%s: %" PRIu64 " bytes where the manifest says %" PRIu64, path, sl_safetensors_bytes(file),
                listed->bytes);
    const uint64_t hash = sl_safetensors_hash(file);
    if (hash != listed->hash)
        SL_FAIL(SL_BAD_DATA, "%s: damaged: its hash is %016" PRIx64 ", the manifest says %016" PRIx64, path, hash,
                listed->hash);
out:
    free(path);
    return rc;
}

int sl_checkpoint_open(const char *folder, struct sl_checkpoint *checkpoint)
{
    int rc = SL_OK;
    struct sl_manifest manifest = {0};
    memset(checkpoint, 0, sizeof *checkpoint);
    SL_TRY(sl_manifest_read(folder, &manifest));
    checkpoint->step = manifest.step;
    checkpoint->folder = strdup(folder);
    checkpoint->names = calloc(manifest.file_count, sizeof *checkpoint->names);
    checkpoint->files = calloc(manifest.file_count, sizeof *checkpoint->files);
    if (!checkpoint->folder || !checkpoint->names || !checkpoint->files)
        SL_FAIL(SL_SYSTEM, "%s: out of memory", folder);
    for (size_t i = 0; i < manifest.file_count; i++)
        SL_TRY(open_file(folder, &manifest.files[i], checkpoint));
out:
    if (rc != SL_OK)
        sl_checkpoint_close(checkpoint);
    sl_manifest_close(&manifest);
    return rc;
}

void sl_checkpoint_close(struct sl_checkpoint *checkpoint)
{
    for (size_t i = 0; i < checkpoint->file_count; i++) {
        free(checkpoint->names[i]);
        sl_safetensors_close(checkpoint->files[i]);
    }
    free(checkpoint->names);
    free(checkpoint->files);
    free(checkpoint->folder);
    memset(checkpoint, 0, sizeof *checkpoint);
}

const struct sl_safetensors *sl_checkpoint_file(const struct sl_checkpoint *checkpoint, const char *name)
{
    for (size_t i = 0; i < checkpoint->file_count; i++)
        if (!strcmp(checkpoint->names[i], name))
            return checkpoint->files[i];
    return NULL;
}
