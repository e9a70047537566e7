#include "runtime/train/schedule.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int add(struct sl_schedule *schedule, long long epoch, double rate, const char *text)
{
    if (schedule->count == SL_SCHEDULE_MAX)
        return sl_fail(SL_USAGE, "schedule \"%s\": more than %d entries", text, SL_SCHEDULE_MAX);
    if (!isfinite(rate) || rate <= 0.0 || rate > 1e6)
        return sl_fail(SL_USAGE, "schedule \"%s\": a rate must be above 0 and at most 1e6", text);
    if (epoch < 0 || (schedule->count && epoch <= schedule->epochs[schedule->count - 1]))
        return sl_fail(SL_USAGE, "schedule \"%s\": epochs must ascend from 0", text);
    schedule->epochs[schedule->count] = epoch;
    schedule->rates[schedule->count++] = rate;
    return SL_OK;
}

int sl_schedule_parse(const char *text, struct sl_schedule *schedule)
{
    int rc = SL_OK;
    *schedule = (struct sl_schedule){0};
    for (const char *at = text;;) {
        char *end;
        long long epoch = 0;
        if (strchr(text, ':')) {
            errno = 0;
            epoch = strtoll(at, &end, 10);
            if (end == at || *end != ':' || errno == ERANGE)
                SL_FAIL(SL_USAGE, "schedule \"%s\": expected EPOCH:RATE at \"%s\"", text, at);
            at = end + 1;
        }
        const double rate = strtod(at, &end);
        if (end == at || (*end && *end != ','))
            SL_FAIL(SL_USAGE, "schedule \"%s\": expected a rate at \"%s\"", text, at);
        SL_TRY(add(schedule, epoch, rate, text));
        if (!*end)
            break;
        at = end + 1;
    }
    if (schedule->epochs[0] != 0)
        SL_FAIL(SL_USAGE, "schedule \"%s\": the first epoch must be 0", text);
out:
    return rc;
}

double sl_schedule_rate(const struct sl_schedule *schedule, uint64_t epoch)
{
    assert(schedule->count > 0 && schedule->epochs[0] == 0);
    double rate = schedule->rates[0];
    for (int32_t i = 1; i < schedule->count && (uint64_t)schedule->epochs[i] <= epoch; i++)
        rate = schedule->rates[i];
    return rate;
}

void sl_schedule_scale(struct sl_schedule *schedule, double factor)
{
    for (int32_t i = 0; i < schedule->count; i++)
        schedule->rates[i] *= factor;
}
