#include "runtime/train/session_rows.h"

const char *sl_session_recorded_rows(const struct sl_checkpoint *checkpoint, int rank)
{
    char name[SL_STORE_NAME];
    if (checkpoint->world < 1)
        return NULL;
    sl_checkpoint_rank_name(rank % checkpoint->world, name);
    const struct sl_safetensors *file = sl_checkpoint_file(checkpoint, name);
    return file ? sl_safetensors_metadata(file, SL_ROWS_METADATA) : NULL;
}
