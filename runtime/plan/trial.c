#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/plan/trial_internal.h"

/* A row has to be faster than the table's first by this part of it to be taken instead: less is noise. */
static const double MARGIN = 0.03;

/* A row that is slower than this, against the best, does not come back. */
static const double FAR_BEHIND = 1.25;

/* A row that may refuse is asked. */
static bool takes_part(const struct sl_choice *choice, const struct sl_kernel_row *row)
{
    struct sl_need need;
    struct sl_choice other;
    const void *shape = choice->ready[0].shape;
    if (row->needs == SL_CPU || !sl_row_takes(row, choice->op, shape, choice->device->isa, &need))
        return false;
    if (!row->kernel->refuses || row == sl_choice_row(choice))
        return true;
    const struct sl_wish wish = {.row = row, .quiet = true};
    if (sl_choose_as(choice->device, choice->op, shape, &wish, &other) != SL_OK)
        return false;
    const bool ready = sl_choice_row(&other) == row;
    sl_choice_close(&other);
    return ready;
}

void sl_trial_open(const struct sl_choice *choice, bool training, struct sl_trial *trial)
{
    const struct sl_device *device = choice->device;
    *trial = (struct sl_trial){.op = choice->op};
    memcpy(trial->shape, choice->ready[0].shape, sizeof trial->shape);
    sl_selection_key(trial->op, trial->shape, training, trial->key);
    for (size_t i = 0; i < device->row_count && trial->count < SL_TRIAL_ROWS; i++)
        if (takes_part(choice, &device->rows[i])) {
            trial->best[trial->count] = trial->second[trial->count] = INFINITY;
            trial->rows[trial->count++] = &device->rows[i];
        }
}

void sl_trial_begin_pass(struct sl_trial *trial)
{
    memset(trial->pass, 0, sizeof trial->pass);
}

void sl_trial_add(struct sl_trial *trial, const struct sl_choice *choice, const struct sl_kernel_row *row,
                  double seconds)
{
    if (trial->op != choice->op || memcmp(trial->shape, choice->ready[0].shape, sl_op_shape_bytes(trial->op)))
        return;
    for (int i = 0; i < trial->count; i++)
        trial->pass[i] += trial->rows[i] == row ? seconds : 0;
    trial->launched = true;
}

void sl_trial_end_pass(struct sl_trial *trial)
{
    for (int i = 0; i < trial->count; i++) {
        const double pass = trial->pass[i] > 0 ? trial->pass[i] : INFINITY; /* another row ran */
        trial->second[i] = fmin(trial->second[i], fmax(trial->best[i], pass));
        trial->best[i] = fmin(trial->best[i], pass);
    }
}

static double best_of(const struct sl_trial *trial)
{
    double best = INFINITY;
    for (int i = 0; i < trial->count; i++)
        best = fmin(best, trial->best[i]);
    return best;
}

bool sl_trial_is_near(const struct sl_trial *trial, int row)
{
    return row < trial->count && trial->best[row] <= FAR_BEHIND * best_of(trial);
}

/* Twice, unless it was far behind the first time. */
static bool is_measured(const struct sl_trial *trial)
{
    for (int i = 0; i < trial->count; i++)
        if (!isfinite(trial->best[i]) || (!isfinite(trial->second[i]) && sl_trial_is_near(trial, i)))
            return false;
    return true;
}

/* A challenger has to be faster than the table's first was at its best, and twice: once may be luck. */
static int winner(const struct sl_trial *trial)
{
    int best = 0;
    for (int i = 1; i < trial->count; i++)
        if (trial->second[i] < (1 - MARGIN) * trial->best[0] && trial->best[i] < trial->best[best])
            best = i;
    return best;
}

/* The best of the rest, and not by luck either. */
static double runner_up(const struct sl_trial *trial, int best)
{
    double other = INFINITY;
    for (int i = 0; i < trial->count; i++)
        if (i != best)
            other = fmin(other, isfinite(trial->second[i]) ? trial->second[i] : trial->best[i]);
    return other;
}

static int64_t microseconds(double seconds)
{
    return seconds < 1e-6 ? 1 : llround(1e6 * seconds);
}

bool sl_trial_result(const struct sl_trial *trial, struct sl_selected *selected)
{
    int best = 0;
    *selected = (struct sl_selected){.source = SL_SOURCE_MEASURED};
    if (trial->launched && !is_measured(trial))
        return false;
    if (trial->launched) {
        best = winner(trial);
        selected->microseconds = microseconds(trial->best[best]);
        selected->other = microseconds(runner_up(trial, best));
    }
    strcpy(selected->key, trial->key);
    snprintf(selected->row, sizeof selected->row, "%s", trial->rows[best]->name);
    return true;
}
