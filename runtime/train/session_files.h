/* The names in a session's checkpoint, as it is saved and resumed. */
#ifndef SL_RUNTIME_TRAIN_SESSION_FILES_H
#define SL_RUNTIME_TRAIN_SESSION_FILES_H

#include <stdio.h>

#include "runtime/train/session.h"

#define SL_UPDATER_FILE "updater.safetensors"

enum { SL_POSITION_FIELDS = 4, SL_ARRAY_NAME = 48 };

/* The updater's arrays in a rank's file, and those of the session's caller. */
static inline void sl_moment_name(int32_t slot, char name[SL_ARRAY_NAME])
{
    snprintf(name, SL_ARRAY_NAME, "updater.%s", sl_updater_slot_name(slot));
}

static inline void sl_array_name(const struct sl_session_array *array, char name[SL_ARRAY_NAME])
{
    snprintf(name, SL_ARRAY_NAME, "exchange.%.31s", array->name);
}

#endif
