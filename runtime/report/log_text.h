/* The lines a log shows to people. */
#ifndef SL_RUNTIME_REPORT_LOG_TEXT_H
#define SL_RUNTIME_REPORT_LOG_TEXT_H

#include "runtime/report/log.h"

enum { SL_LOG_LINE = 256 };

/* Exponential averages over the last ten steps or so. */
struct sl_log_means {
    double seconds, samples, loss;
};
void sl_log_average(struct sl_log_means *means, const struct sl_step_record *step);

/* "epoch 3/10  step 120/625  1234 images/s  loss 3.2140  left 12:34"; epochs 0: unknown. */
void sl_log_progress_text(const struct sl_log_means *means, const struct sl_step_record *step, uint64_t epochs,
                          char text[SL_LOG_LINE]);

/* The line of DL4J's PerformanceListener. The time is of this one iteration, its wait for data included. */
void sl_log_performance_text(const struct sl_step_record *step, char text[SL_LOG_LINE]);

/* "epoch 3/10  loss 3.2140  top-1 12.50 %  ...": what was not measured is left out. */
void sl_log_epoch_text(const struct sl_epoch_record *epoch, uint64_t epochs, char text[SL_LOG_LINE]);

#endif
