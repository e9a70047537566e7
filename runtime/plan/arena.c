#include "runtime/plan/arena.h"

#include <stdio.h>
#include <stdlib.h>

static size_t aligned(size_t bytes)
{
    return (bytes + SL_ARENA_ALIGNMENT - 1) / SL_ARENA_ALIGNMENT * SL_ARENA_ALIGNMENT;
}

static int larger_first(const void *a, const void *b)
{
    const struct sl_block *const *x = a, *const *y = b;
    if ((*x)->bytes != (*y)->bytes)
        return (*x)->bytes < (*y)->bytes ? 1 : -1;
    return *x < *y ? -1 : 1; /* a stable order gives a repeatable plan */
}

static int lower_first(const void *a, const void *b)
{
    const struct sl_block *const *x = a, *const *y = b;
    return (*x)->offset < (*y)->offset ? -1 : (*x)->offset > (*y)->offset;
}

static bool meet(const struct sl_block *a, const struct sl_block *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The blocks that a new one may have to keep clear of. */
struct placed {
    const struct sl_block *others; /* of somebody else */
    size_t other_count;
    struct sl_block *const *blocks;
    size_t count;
    const struct sl_block **scratch;
};

/* The lowest gap among the placed blocks alive at the same time that holds this one. */
static size_t lowest_gap(const struct sl_block *block, const struct placed *placed)
{
    const struct sl_block **scratch = placed->scratch;
    size_t alive = 0;
    for (size_t i = 0; i < placed->other_count; i++)
        scratch[alive++] = &placed->others[i];
    for (size_t i = 0; i < placed->count; i++)
        if (meet(block, placed->blocks[i]))
            scratch[alive++] = placed->blocks[i];
    qsort(scratch, alive, sizeof *scratch, lower_first);
    size_t at = 0;
    for (size_t i = 0; i < alive; i++) {
        if (scratch[i]->offset >= at && scratch[i]->offset - at >= aligned(block->bytes))
            break;
        const size_t end = scratch[i]->offset + aligned(scratch[i]->bytes);
        at = end > at ? end : at;
    }
    return at;
}

int sl_arena_place_beside(const struct sl_block *others, size_t other_count, struct sl_block *blocks, size_t count,
                          size_t *total)
{
    int rc = SL_OK;
    struct sl_block **order = malloc((count + 1) * sizeof *order);
    struct placed placed = {.others = others, .other_count = other_count, .blocks = order};
    placed.scratch = malloc((other_count + count + 1) * sizeof *placed.scratch);
    *total = 0;
    if (!order || !placed.scratch)
        SL_FAIL(SL_SYSTEM, "out of memory while placing %zu buffers", count);
    for (size_t i = 0; i < count; i++)
        order[i] = &blocks[i];
    qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++, placed.count++) {
        order[i]->offset = lowest_gap(order[i], &placed);
        const size_t end = order[i]->offset + aligned(order[i]->bytes);
        *total = end > *total ? end : *total;
    }
out:
    free(placed.scratch);
    free(order);
    return rc;
}

int sl_arena_place(struct sl_block *blocks, size_t count, size_t *total)
{
    return sl_arena_place_beside(NULL, 0, blocks, count, total);
}

/* The largest block after `last` in the order of larger_first; the largest of all after NULL. */
static const struct sl_block *next_largest(const struct sl_block *blocks, size_t count, const struct sl_block *last)
{
    const struct sl_block *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct sl_block *block = &blocks[i];
        const bool comes_after = !last || (block != last && larger_first(&last, &block) < 0);
        if (comes_after && (!best || larger_first(&block, &best) < 0))
            best = block;
    }
    return best;
}

void sl_arena_consumers(const struct sl_block *blocks, size_t count, char *text, size_t length)
{
    enum { SHOWN = 5 };
    const struct sl_block *block = NULL;
    size_t at = 0;
    text[0] = '\0';
    for (int k = 0; k < SHOWN && at < length && (block = next_largest(blocks, count, block)); k++)
        at += (size_t)snprintf(text + at, length - at, "%s%s %s %.1f MB", k ? ", " : "", block->owner, block->what,
                               (double)block->bytes / 1e6);
}
