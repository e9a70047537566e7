/* What a resumed run must share with the one that saved: network, data, seed, batches, updater, augmentation,
 * precision, and how ranks share what they learn. The same bits need the same kernels and as many ranks as well, but a
 * run may have to go on where there are others. */
#ifndef SL_RUNTIME_TRAIN_SESSION_IDENTITY_H
#define SL_RUNTIME_TRAIN_SESSION_IDENTITY_H

#include "runtime/train/session.h"

enum { SL_IDENTITY_KEYS = 10, SL_IDENTITY_BYTES = 96 };

/* The part that is metadata of the rank file; the network and the classes are in the model file. */
struct sl_identity {
    char texts[SL_IDENTITY_KEYS][SL_IDENTITY_BYTES];
    struct sl_text_pair pairs[SL_IDENTITY_KEYS];
    size_t written; /* the first that a checkpoint needs: without an exchange it does not name one */
};

void sl_session_identify(const struct sl_session *session, struct sl_identity *identity);

/* SL_BAD_CONFIG names every difference, with both values; `report` (may be NULL) is told what cannot be compared, and
 * that kernels differ. SL_BAD_DATA: the model file does not describe its network. */
int sl_session_compare(const struct sl_session *session, const struct sl_safetensors *model,
                       const struct sl_safetensors *rank, sl_tell_fn *report, void *self);

/* SL_BAD_DATA: the files of two ranks, which are named, are not of the same run. */
int sl_session_compare_ranks(const struct sl_safetensors *a, int rank_a, const struct sl_safetensors *b, int rank_b);

#endif
