/* The arrays of the ranks that saved, as those of the ranks that resume. */
#ifndef SL_RUNTIME_TRAIN_SESSION_JOIN_H
#define SL_RUNTIME_TRAIN_SESSION_JOIN_H

#include "runtime/train/session.h"

/* A rank, and the files that it goes on from. */
struct sl_session_heirs {
    const struct sl_device *device;
    const struct sl_safetensors *own;             /* of what is its own */
    const struct sl_safetensors *const *heritage; /* [count]: of what is added up, in this order */
    size_t count;
    int world_then, world;
};

/* The data of a one-dimensional array. SL_BAD_CONFIG: it is missing, or of another size or type. */
int sl_session_find(const struct sl_safetensors *file, const char *name, enum sl_dtype dtype, int64_t n,
                    const void **data);

/* Fills the array from the files (sl_session_join of session.h). Floats are added up in double and rounded once; one
 * share alone keeps its bits. SL_BAD_CONFIG, SL_SYSTEM. */
int sl_session_join(const struct sl_session_heirs *heirs, const struct sl_session_array *array);

#endif
