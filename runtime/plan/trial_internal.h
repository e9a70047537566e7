/* One operation at one shape, wherever it occurs in a pass, and what its rows took there. */
#ifndef SL_RUNTIME_PLAN_TRIAL_INTERNAL_H
#define SL_RUNTIME_PLAN_TRIAL_INTERNAL_H

#include "runtime/plan/selection.h"

enum { SL_TRIAL_ROWS = 16 };

struct sl_trial {
    char key[SL_SELECTED_KEY];
    enum sl_op op;
    _Alignas(int64_t) unsigned char shape[SL_SHAPE_BYTES]; /* kernels read it where it lies */
    int count;
    const struct sl_kernel_row *rows[SL_TRIAL_ROWS];   /* in the table's order */
    bool launched;                                     /* in any pass */
    double pass[SL_TRIAL_ROWS];                        /* seconds of each row in this pass */
    double best[SL_TRIAL_ROWS], second[SL_TRIAL_ROWS]; /* of its passes; INFINITY: there were not so many */
};

/* With the rows that the choice's device can run and that take its shape; plain C is left out, which is the arbiter of
 * results and not of speed. */
void sl_trial_open(const struct sl_choice *choice, bool training, struct sl_trial *trial);

/* A pass: from its beginning on, launches add to it if they are of this trial; ending it, it counts. */
void sl_trial_begin_pass(struct sl_trial *trial);
void sl_trial_add(struct sl_trial *trial, const struct sl_choice *choice, const struct sl_kernel_row *row,
                  double seconds);
void sl_trial_end_pass(struct sl_trial *trial);

/* May this row still win? */
bool sl_trial_is_near(const struct sl_trial *trial, int row);

/* The fastest row. What no pass launched is the table's first, in no time. False: its rows were not measured twice. */
bool sl_trial_result(const struct sl_trial *trial, struct sl_selected *selected);

#endif
