/* An open store, and which of its checkpoints stay. */
#ifndef SL_RUNTIME_STORE_RETAIN_H
#define SL_RUNTIME_STORE_RETAIN_H

#include "runtime/store/load.h"

#ifdef __cplusplus
extern "C" {
#endif

/* No checkpoint has this step. */
#define SL_NO_STEP UINT64_MAX

struct sl_store {
    char *run;
    int lock, keep;
    uint64_t *verified; /* steps this process found whole, so that retention need not read them again */
    size_t verified_count;
    uint64_t best;      /* what RUN/best names, or SL_NO_STEP */
    uint64_t published; /* the last that this process saved, or SL_NO_STEP */
    char *leftover;     /* why something that a killed writer left is still there, or NULL */
    sl_tell_fn *report;
    void *self;
    bool pointer_failed; /* a pointer could not be written, and that was told */
};

/* Makes a pointer name the checkpoint of that step; that it cannot be written is told once. */
void sl_store_point(struct sl_store *store, const char *name, uint64_t step);

/* ---- What is whole ---- */

/* Notes that this process found the checkpoint of that step whole, or that it is gone. SL_SYSTEM. */
int sl_store_remember(struct sl_store *store, uint64_t step);
void sl_store_forget(struct sl_store *store, uint64_t step);

/* Is the checkpoint on the disk whole? *whole is the answer where there is one; SL_IO, SL_SYSTEM: it could not be read
 * now. */
int sl_store_examine(struct sl_store *store, uint64_t step, bool *whole);

/* ---- What goes ---- */

/* Removes one checkpoint. */
int sl_store_retire(struct sl_store *store, uint64_t step);

/* Removes what is older than the newest `keep` whole ones, but never what was published last, nor the best. */
int sl_store_retain(struct sl_store *store);

/* On a full disk: removes the oldest, but never the newest whole one, and the best only if it must. *step: which, or
 * SL_NO_STEP. What cannot be read now is neither removed nor relied on. */
int sl_store_retire_oldest(struct sl_store *store, uint64_t *step);

#ifdef __cplusplus
}
#endif
#endif
