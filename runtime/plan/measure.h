/* Which rows are the fastest: whole passes over a made-up batch, with each of the rows in its turn. What a row takes
 * inside a pass counts, where its data comes from where it does in training, and packs count where they are repeated.
 */
#ifndef SL_RUNTIME_PLAN_MEASURE_H
#define SL_RUNTIME_PLAN_MEASURE_H

#include "runtime/base/tell.h"
#include "runtime/plan/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_measure_options {
    const struct sl_graph *graph;
    const struct sl_device *device;
    int32_t batch;
    bool training; /* forward and backward; else inference */
    enum sl_element precision;
    uint64_t memory_limit; /* bytes for all it takes, given back at the end; 0: none */
    double seconds;        /* after which it ends, with the pass it is in; more where 25 passes take more */
    sl_tell_fn *say;       /* told once if anything has to be measured; may be NULL */
    void *self;
};

/* Puts the fastest row of each operation and shape into `rows` for which that names none that can run. A row has to be
 * faster than the table's first by 3 % of it, in two passes, to be taken instead: less is noise. Where there is
 * one row besides the plain reference, where SL_KERNEL names one, and where time or memory did not suffice, nothing is
 * put. SL_SYSTEM and the errors of a pass. */
int sl_measure_rows(const struct sl_measure_options *options, struct sl_selection *rows);

#ifdef __cplusplus
}
#endif
#endif
