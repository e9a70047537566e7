/* The rows of a session's plans in its checkpoints. They are known before the session is open. */
#ifndef SL_RUNTIME_TRAIN_SESSION_ROWS_H
#define SL_RUNTIME_TRAIN_SESSION_ROWS_H

#include "runtime/store/checkpoint.h"

/* Metadata of a rank's file: too long for the session's identity, which has a hash of them. */
#define SL_ROWS_METADATA "kernel-rows"

/* What stands in the file that rank `rank` goes on from; NULL: nothing. */
const char *sl_session_recorded_rows(const struct sl_checkpoint *checkpoint, int rank);

#endif
