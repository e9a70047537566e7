/* Which rows plans take instead of the table's first, operation by operation and shape by shape: as they were measured,
 * or as a checkpoint recorded them. */
#ifndef SL_RUNTIME_PLAN_SELECTION_H
#define SL_RUNTIME_PLAN_SELECTION_H

#include "kernels/launch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How rows are chosen: --kernels. */
enum sl_policy {
    SL_POLICY_DEFAULT, /* that of the checkpoint that a run goes on from, else shipped */
    SL_POLICY_SHIPPED, /* in the table's order */
    SL_POLICY_FASTEST, /* as measured on this machine */
    SL_POLICY_EXACT,   /* in the table's order, without rows that transform */
    SL_POLICY_OWN,     /* in the table's order, without rows of a library */
    SL_POLICY_CUDNN,   /* rows of cuDNN, where they take the shape */
};

#define SL_POLICY_CHOICES "shipped|fastest|exact|own|cudnn"

/* "shipped", ... */
const char *sl_policy_name(enum sl_policy policy);

/* SL_POLICY_DEFAULT: no policy has that name. */
enum sl_policy sl_policy_find(const char *name);

/* Where a selection of a row comes from. */
enum sl_source { SL_SOURCE_MEASURED, SL_SOURCE_CACHE, SL_SOURCE_CHECKPOINT };

/* One operation at one shape: "training conv2d_fwd 0123456789abcdef", the number being a hash of the shape. Training
 * and inference are two, as they spend their time in different ways. */
enum { SL_SELECTED_KEY = 96, SL_SELECTED_ROW = 64 };

struct sl_selected {
    char key[SL_SELECTED_KEY];
    char row[SL_SELECTED_ROW];
    int64_t microseconds, other; /* of the row, and of the best of the rest; 0: no pass launches it */
    enum sl_source source;
};

enum { SL_SELECTION_MOST = 4096 };

/* A cleared one is empty: the table's order. */
struct sl_selection {
    enum sl_policy policy;
    bool quiet; /* SL_VERBOSE=1 does not print what is taken */
    struct sl_selected *list;
    size_t count;
};

void sl_selection_close(struct sl_selection *selection);

void sl_selection_key(enum sl_op op, const void *shape, bool training, char key[SL_SELECTED_KEY]);

/* NULL: nothing is selected there. */
const struct sl_selected *sl_selection_find(const struct sl_selection *selection, const char *key);

/* Adds a selection, in the place of one for the same key. SL_SYSTEM; SL_BAD_CONFIG: more than SL_SELECTION_MOST. */
int sl_selection_put(struct sl_selection *selection, const struct sl_selected *selected);

/* The device's row of that name; NULL: it has none. */
const struct sl_kernel_row *sl_selection_row(const struct sl_device *device, enum sl_op op, const char *name);

/* What is selected, as sl_choose_as wants it. `why` is the room of wish->why. */
void sl_selection_wish(const struct sl_selection *selection, const struct sl_device *device, enum sl_op op,
                       const void *shape, bool training, char why[SL_WHY_BYTES], struct sl_wish *wish);

/* As a JSON text, which the caller frees, and back. `of` says what it is of: the processor, or a checkpoint. SL_SYSTEM.
 */
int sl_selection_to_json(const struct sl_selection *selection, const char *of, char **text);

/* SL_BAD_CONFIG: it is no such text, or of something else; *selection is empty then. What it selects is from `source`.
 * Rows that no table knows are taken over: they are wished for in vain. */
int sl_selection_from_json(const char *text, size_t length, const char *of, enum sl_source source,
                           struct sl_selection *selection);

#ifdef __cplusplus
}
#endif
#endif
