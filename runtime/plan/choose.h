/* Choosing rows for the plans of a run: by the table, by measurement or by what a checkpoint recorded, and for all
 * ranks of a group the same way. */
#ifndef SL_RUNTIME_PLAN_CHOOSE_H
#define SL_RUNTIME_PLAN_CHOOSE_H

#include "kernels/group.h"
#include "runtime/plan/measure.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_choose_options {
    enum sl_policy policy;
    const struct sl_group *group; /* whose ranks have to take the same rows; NULL: this process is alone */
    const struct sl_graph *graph;
    int32_t batch;
    bool training; /* rows for training and for inference; else for inference alone */
    enum sl_element precision;
    uint64_t memory_limit; /* bytes while rows are measured; 0: none */
    const char *record;    /* what a checkpoint says (sl_choose_record); NULL: nothing */
    sl_tell_fn *say;       /* told what is going on, line by line; may be NULL */
    void *self;
};

/* What becomes of `rows`, which comes cleared and which the caller closes:
 *   recorded: the rows of the record, if the policy is that of the record and all of them can run here; else
 *   shipped, exact, own, cudnn: nothing is selected, the plans take the table's order
 *   fastest: what the cache knows, and what is measured now and then kept there.
 * With a group it is collective, also for a rank that has failed and comes with its `status` instead of its options;
 * what it returns then is that status. All ranks have to name one policy (SL_DISAGREE). Of fastest, rank 0 measures
 * rows of the instruction sets that all ranks have, to which device->isa is held down, and the others take what it
 * found. A cache that cannot be read or written is told and costs nothing else. SL_UNAVAILABLE: cudnn, and the device
 * has none. */
int sl_choose_rows(const struct sl_choose_options *options, int status, struct sl_device *device,
                   struct sl_selection *rows);

/* What plans have chosen, as a text for a checkpoint; the caller frees it. SL_SYSTEM. */
int sl_choose_record(enum sl_policy policy, const struct sl_plan *training, const struct sl_plan *inference,
                     char **text);

#ifdef __cplusplus
}
#endif
#endif
