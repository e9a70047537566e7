/* Prefetching what the next unit reads, a few cache lines after each tile of the present unit. */
#ifndef SL_KERNELS_CONV_AHEAD_H
#define SL_KERNELS_CONV_AHEAD_H

#include <stddef.h>
#include <stdint.h>

/* What will be read next: rows of `width` bytes, `pitch` bytes apart. It is brought into the second-level cache little
 * by little, so that the next unit does not begin by waiting for memory. */
struct direct_ahead {
    const char *at;
    int64_t rows;
    ptrdiff_t width, pitch, done; /* bytes; done: of the present row */
    int32_t lines;                /* cache lines after each tile */
};

/* So many lines a tile that `tiles` calls of direct_prefetch ask for all of it. */
static inline struct direct_ahead direct_ahead_of(const void *at, int64_t rows, ptrdiff_t width, ptrdiff_t pitch,
                                                  int64_t tiles)
{
    struct direct_ahead ahead = {at, rows, width, pitch, 0, 0};
    if (width == pitch) {
        ahead.width = ahead.pitch = (ptrdiff_t)rows * width;
        ahead.rows = rows > 0;
    }
    ahead.lines = (int32_t)(ahead.rows * (ahead.width / 64 + 1) / (tiles > 0 ? tiles : 1)) + 1;
    return ahead;
}

/* The same where all bytes follow each other, for tiles that ask for a little in each of their steps: a burst of lines
 * after each tile would fill the line buffers, and stall. */
struct direct_coming {
    const char *at;
    ptrdiff_t left; /* bytes */
};

enum { DIRECT_PACE = 32 }; /* bytes a step, at most */

/* Takes what a tile of so many steps asks for: bytes a step, from *at on. */
static inline ptrdiff_t direct_come(struct direct_coming *coming, ptrdiff_t steps, const char **at)
{
    *at = coming->at;
    if (!coming->left || !steps)
        return 0;
    const ptrdiff_t wanted = (coming->left + steps - 1) / steps, pace = wanted < DIRECT_PACE ? wanted : DIRECT_PACE;
    const ptrdiff_t bytes = pace * steps < coming->left ? pace * steps : coming->left;
    coming->at += bytes;
    coming->left -= bytes;
    return pace;
}

static inline void direct_prefetch_line(struct direct_ahead *ahead)
{
    if (ahead->rows <= 0)
        return;
    __builtin_prefetch(ahead->at + ahead->done, 0, 2);
    ahead->done += 64;
    if (ahead->done >= ahead->width) {
        ahead->done = 0;
        ahead->at += ahead->pitch;
        ahead->rows--;
    }
}

/* What one call of direct_prefetch asks for, if that is a long burst and its lines follow each other: a tile of so many
 * steps had better ask itself, so many bytes a step, from *at on. 0: it need not. */
static inline ptrdiff_t direct_share(struct direct_ahead *ahead, ptrdiff_t steps, const char **at)
{
    enum { BURST = 8 };
    const ptrdiff_t left = ahead->width - ahead->done, share = (ptrdiff_t)ahead->lines * 64;
    if (ahead->rows != 1 || ahead->lines <= BURST)
        return 0;
    const ptrdiff_t bytes = share < left ? share : left;
    *at = ahead->at + ahead->done;
    ahead->done += bytes;
    ahead->rows = ahead->done < ahead->width;
    return (bytes + steps - 1) / steps;
}

static inline void direct_prefetch_lines(struct direct_ahead *ahead, int32_t lines)
{
    for (int32_t i = 0; i < lines && ahead->rows > 0; i++)
        direct_prefetch_line(ahead);
}

static inline void direct_prefetch(struct direct_ahead *ahead)
{
    direct_prefetch_lines(ahead, ahead->lines);
}
#endif
