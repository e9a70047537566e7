/* What a resumed run must share with the one that saved: network, data, seed, batches, updater and augmentation. The
 * same bits need the same kernels as well, but a run may have to go on where there are others. */
#ifndef SL_RUNTIME_TRAIN_SESSION_IDENTITY_H
#define SL_RUNTIME_TRAIN_SESSION_IDENTITY_H

#include "runtime/train/session.h"

enum { SL_IDENTITY_KEYS = 8, SL_IDENTITY_BYTES = 96 };

/* The part that is metadata of the rank file; the network and the classes are in the model file. */
struct sl_identity {
    char texts[SL_IDENTITY_KEYS][SL_IDENTITY_BYTES];
    struct sl_text_pair pairs[SL_IDENTITY_KEYS];
};

void sl_session_identify(const struct sl_session *session, struct sl_identity *identity);

/* SL_BAD_CONFIG names every difference, with both values; `report` (may be NULL) is told what cannot be compared, and
 * that kernels differ. SL_BAD_DATA: the model file does not describe its network. */
int sl_session_compare(const struct sl_session *session, const struct sl_safetensors *model,
                       const struct sl_safetensors *rank, sl_store_report_fn *report, void *self);

#endif
