/* Learning rates by epoch, as DL4J's MapSchedule: each holds from its epoch on, until the next one's. */
#ifndef SL_RUNTIME_TRAIN_SCHEDULE_H
#define SL_RUNTIME_TRAIN_SCHEDULE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_SCHEDULE_MAX = 64 };

struct sl_schedule {
    int32_t count;
    int64_t epochs[SL_SCHEDULE_MAX]; /* ascending; the first is 0 */
    double rates[SL_SCHEDULE_MAX];
};

/* The default, the rates of DL4J's cookbook: 8e-3, 6e-3 from epoch 1, 3e-3 from 3, 1e-3 from 5, 5e-4 from 7. */
#define SL_SCHEDULE_DEFAULT "0:8e-3,1:6e-3,3:3e-3,5:1e-3,7:5e-4"

/* Parses "EPOCH:RATE,EPOCH:RATE,..." or one constant "RATE". SL_USAGE says what is wrong where. */
int sl_schedule_parse(const char *text, struct sl_schedule *schedule);

/* The rate in an epoch, from 0. */
double sl_schedule_rate(const struct sl_schedule *schedule, uint64_t epoch);

/* Every rate times `factor`. */
void sl_schedule_scale(struct sl_schedule *schedule, double factor);

#ifdef __cplusplus
}
#endif
#endif
