#include "runtime/report/log_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* Weight of the newest step in the averages. */
static const double NEWEST = 0.1;

static double blend(double mean, double value)
{
    return mean > 0 && isfinite(mean) ? mean + NEWEST * (value - mean) : value;
}

void sl_log_average(struct sl_log_means *means, const struct sl_step_record *step)
{
    means->seconds = blend(means->seconds, step->wait_seconds + step->step_seconds);
    means->samples = blend(means->samples, step->samples);
    means->loss = blend(means->loss, step->loss);
}

/* 59:59, 2:00:00 */
static void duration_text(double seconds, char *text, size_t room)
{
    const uint64_t s = seconds >= 0 && seconds < 1e9 ? (uint64_t)(seconds + 0.5) : 0;
    if (s < 3600)
        snprintf(text, room, "%" PRIu64 ":%02" PRIu64, s / 60, s % 60);
    else
        snprintf(text, room, "%" PRIu64 ":%02" PRIu64 ":%02" PRIu64, s / 3600, s / 60 % 60, s % 60);
}

/* "epoch 3/10" */
static int epoch_text(uint64_t epoch, uint64_t epochs, char text[SL_LOG_LINE])
{
    if (epochs)
        return snprintf(text, SL_LOG_LINE, "epoch %" PRIu64 "/%" PRIu64, epoch + 1, epochs);
    return snprintf(text, SL_LOG_LINE, "epoch %" PRIu64, epoch + 1);
}

void sl_log_progress_text(const struct sl_log_means *means, const struct sl_step_record *step, uint64_t epochs,
                          char text[SL_LOG_LINE])
{
    char left[32];
    uint64_t steps = step->steps_per_epoch > step->step_in_epoch ? step->steps_per_epoch - step->step_in_epoch : 0;
    if (epochs > step->epoch + 1)
        steps += (epochs - step->epoch - 1) * step->steps_per_epoch;
    duration_text((double)steps * means->seconds, left, sizeof left);
    const int n = epoch_text(step->epoch, epochs, text);
    snprintf(text + n, (size_t)(SL_LOG_LINE - n),
             "  step %" PRIu64 "/%" PRIu64 "  %.0f images/s  loss %.4f  left %s%s%s%s", step->step_in_epoch,
             step->steps_per_epoch, means->samples / fmax(means->seconds, 1e-9), means->loss, left,
             epochs ? "" : " of this epoch", step->note ? "  " : "", step->note ? step->note : "");
}

void sl_log_performance_text(const struct sl_step_record *step, char text[SL_LOG_LINE])
{
    const double seconds = fmax(step->wait_seconds + step->step_seconds, 1e-9);
    snprintf(text, SL_LOG_LINE,
             "ETL: %.0f ms; iteration %" PRIu64
             "; iteration time: %.0f ms; samples/sec: %.3f; batches/sec: %.3f; score: %.9g;",
             1e3 * step->wait_seconds, step->iteration, 1e3 * seconds, step->samples / seconds, 1 / seconds,
             step->score);
}

/* Appends "  LABEL VALUE UNIT" if there is a value, as far as there is room; returns the new length. */
static int append_value(char text[SL_LOG_LINE], int n, const char *label, double value, const char *unit)
{
    if (!isfinite(value))
        return n;
    n += snprintf(text + n, (size_t)(SL_LOG_LINE - n), "  %s %.*f%s", label, *unit ? 2 : 4, value, unit);
    return n < SL_LOG_LINE ? n : SL_LOG_LINE - 1;
}

void sl_log_epoch_text(const struct sl_epoch_record *epoch, uint64_t epochs, char text[SL_LOG_LINE])
{
    char time[32];
    int n = epoch_text(epoch->epoch, epochs, text);
    duration_text(epoch->seconds, time, sizeof time);
    n = append_value(text, n, "loss", epoch->train_loss, "");
    n = append_value(text, n, "validation loss", epoch->val_loss, "");
    n = append_value(text, n, "top-1", 100 * epoch->top1, " %");
    n = append_value(text, n, "top-5", 100 * epoch->top5, " %");
    snprintf(text + n, (size_t)(SL_LOG_LINE - n), "  %.0f images/s  lr %g  in %s", epoch->images_per_second,
             epoch->learning_rate, time);
}
