/* What a session takes, counted before it is opened, and the loaders that are counted. */
#ifndef SL_RUNTIME_TRAIN_SESSION_MEMORY_H
#define SL_RUNTIME_TRAIN_SESSION_MEMORY_H

#include "runtime/train/session.h"

/* The options of one of the two loaders; what the limit leaves for their caches is not in it yet. */
struct sl_loader_options sl_session_loader_options(const struct sl_session *session, bool training);

/* Has the data set images to validate with? */
bool sl_session_has_val(const struct sl_session *session);

/* All of it, kept images excepted. */
uint64_t sl_session_memory_needed(const struct sl_session_memory *memory);

/* Fills session->memory, and options.memory_limit where that is 0. SL_UNAVAILABLE: it is more than the limit; lists who
 * wants how much. */
int sl_session_count_memory(struct sl_session *session);

#endif
