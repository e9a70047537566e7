/* What a log says of a step and of an epoch, and the lines that show it to people. */
#ifndef SL_RUNTIME_REPORT_LOG_TEXT_H
#define SL_RUNTIME_REPORT_LOG_TEXT_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A number of the caller's own: a whole one is written without decimals. The key is plain ASCII, and none of ours. */
struct sl_log_number {
    const char *key;
    double value;
};

/* Epochs count from 0; iteration is the number of steps done, this one included, over all epochs. */
struct sl_step_record {
    uint64_t epoch, iteration;
    uint64_t step_in_epoch; /* from 1 */
    uint64_t steps_per_epoch;
    int32_t samples;
    double wait_seconds; /* for data */
    double step_seconds; /* the step itself */
    double score;        /* loss plus regularisation, DL4J's score */
    double loss;
    double rate; /* learning rate */
    const struct sl_log_number *numbers;
    size_t number_count;
    const char *note; /* at the end of the progress line; NULL: none */
};

struct sl_epoch_record {
    uint64_t epoch, iteration;
    double train_loss, val_loss, top1, top5; /* NaN where not measured; top-N as fractions */
    double images_per_second, seconds, learning_rate;
    const struct sl_log_number *numbers;
    size_t number_count;
};

enum { SL_LOG_LINE = 256 };

/* Exponential averages over about the last ten steps. */
struct sl_log_means {
    double seconds, samples, loss;
};
void sl_log_average(struct sl_log_means *means, const struct sl_step_record *step);

/* "epoch 3/10  step 120/625  1234 images/s  loss 3.2140  left 12:34  NOTE"; epochs 0: unknown. */
void sl_log_progress_text(const struct sl_log_means *means, const struct sl_step_record *step, uint64_t epochs,
                          char text[SL_LOG_LINE]);

/* The line of DL4J's PerformanceListener. The time is of this one iteration, its wait for data included. */
void sl_log_performance_text(const struct sl_step_record *step, char text[SL_LOG_LINE]);

/* "epoch 3/10  loss 3.2140  top-1 12.50 %  ...": what was not measured is left out. */
void sl_log_epoch_text(const struct sl_epoch_record *epoch, uint64_t epochs, char text[SL_LOG_LINE]);

#ifdef __cplusplus
}
#endif
#endif
