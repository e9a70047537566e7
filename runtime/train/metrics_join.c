/* Metrics of several ranks become one. A matrix of many classes is large and nearly empty, as a sample fills one cell:
 * what travels are its cells. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/train/metrics.h"

struct cell {
    uint32_t actual, predicted;
    uint64_t count;
};

enum { BLOCK = 4096 }; /* cells that a rank sends at once */

/* What every rank tells first. */
struct totals {
    int32_t classes, top_n;
    uint64_t samples, top_n_correct, loss, cells;
};

struct cells {
    struct cell *at;
    uint64_t count;
};

static uint64_t *row_of(const struct sl_metrics *metrics, size_t actual)
{
    return metrics->confusion + actual * (size_t)metrics->classes;
}

static uint64_t count_cells(const struct sl_metrics *metrics)
{
    const size_t n = (size_t)metrics->classes;
    uint64_t count = 0;
    for (size_t i = 0; i < n * n; i++)
        count += metrics->confusion[i] != 0;
    return count;
}

/* Takes the cells out of the matrix, which is empty then. */
static int take_cells(struct sl_metrics *metrics, struct cells *cells)
{
    const size_t n = (size_t)metrics->classes;
    const uint64_t count = count_cells(metrics);
    cells->at = malloc((size_t)count * sizeof *cells->at + 1);
    if (!cells->at)
        return sl_fail(SL_SYSTEM, "out of memory for %" PRIu64 " cells of the confusion matrix", count);
    for (size_t actual = 0; actual < n; actual++)
        for (size_t predicted = 0; predicted < n; predicted++) {
            uint64_t *cell = &row_of(metrics, actual)[predicted];
            if (!*cell)
                continue;
            cells->at[cells->count++] = (struct cell){(uint32_t)actual, (uint32_t)predicted, *cell};
            *cell = 0;
        }
    return SL_OK;
}

/* The sums of the scalars; *most: cells of the rank that has most. */
static int join_totals(struct sl_metrics *metrics, const struct sl_group *group, uint64_t count, uint64_t *most)
{
    int rc = SL_OK;
    const struct totals mine = {metrics->classes,       metrics->top_n, metrics->samples,
                                metrics->top_n_correct, metrics->loss,  count};
    struct totals *all = malloc((size_t)group->size * sizeof *all);
    if (!all)
        SL_FAIL(SL_SYSTEM, "out of memory for the metrics of %d ranks", group->size);
    SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
    metrics->samples = metrics->top_n_correct = metrics->loss = *most = 0;
    for (int i = 0; i < group->size; i++) {
        if (all[i].classes != mine.classes || all[i].top_n != mine.top_n)
            SL_FAIL(SL_INTERNAL,
                    "metrics of %" PRId32 " classes, top %" PRId32 " and of %" PRId32 ", top %" PRId32
                    " of rank %d do not add up",
                    mine.classes, mine.top_n, all[i].classes, all[i].top_n, i);
        if (all[i].samples > SL_METRICS_MAX_SAMPLES || metrics->samples > SL_METRICS_MAX_SAMPLES - all[i].samples)
            SL_FAIL(SL_BAD_DATA, "metrics count at most %d samples", SL_METRICS_MAX_SAMPLES);
        metrics->samples += all[i].samples;
        metrics->top_n_correct += all[i].top_n_correct;
        metrics->loss += all[i].loss;
        *most = all[i].cells > *most ? all[i].cells : *most;
    }
out:
    free(all);
    return rc;
}

static int add_cells(struct sl_metrics *metrics, const void *bytes, size_t size)
{
    const uint32_t classes = (uint32_t)metrics->classes;
    struct cell cell;
    for (size_t at = 0; at < size; at += sizeof cell) {
        if (size - at < sizeof cell)
            return sl_fail(SL_IO, "a block of the confusion matrix is cut");
        memcpy(&cell, (const char *)bytes + at, sizeof cell);
        if (cell.actual >= classes || cell.predicted >= classes)
            return sl_fail(SL_IO, "cell %" PRIu32 ", %" PRIu32 " of a confusion matrix of %" PRIu32 " classes arrived",
                           cell.actual, cell.predicted, classes);
        row_of(metrics, cell.actual)[cell.predicted] += cell.count;
    }
    return SL_OK;
}

/* The block from `begin` on of every rank, my own included. */
static int join_block(struct sl_metrics *metrics, const struct sl_group *group, const struct cells *cells,
                      uint64_t begin)
{
    int rc = SL_OK;
    void *all = NULL;
    const uint64_t from = begin < cells->count ? begin : cells->count, left = cells->count - from;
    const size_t bytes = (size_t)(left < BLOCK ? left : BLOCK) * sizeof *cells->at;
    size_t *offsets = calloc((size_t)group->size + 1, sizeof *offsets);
    if (!offsets)
        SL_FAIL(SL_SYSTEM, "out of memory for the metrics of %d ranks", group->size);
    SL_TRY(group->gather_parts(group->self, cells->at + from, bytes, &all, offsets));
    for (int i = 0; i < group->size; i++)
        SL_TRY(add_cells(metrics, (const char *)all + offsets[i], offsets[i + 1] - offsets[i]));
out:
    free(all);
    free(offsets);
    return rc;
}

int sl_metrics_join(struct sl_metrics *metrics, const struct sl_group *group)
{
    int rc = SL_OK;
    uint64_t most = 0;
    struct cells cells = {0};
    if (sl_group_size(group) == 1)
        return SL_OK;
    SL_TRY(sl_group_settle(group, take_cells(metrics, &cells)));
    SL_TRY(join_totals(metrics, group, cells.count, &most));
    for (uint64_t begin = 0; begin < most; begin += BLOCK)
        SL_TRY(join_block(metrics, group, &cells, begin));
out:
    free(cells.at);
    return rc;
}
