/* Prefetching the next unit's source, a few lines after each tile of the present one. */
#ifndef SL_KERNELS_CONV_AHEAD_H
#define SL_KERNELS_CONV_AHEAD_H

#include <stddef.h>
#include <stdint.h>

/* What will be read next, brought into the second-level cache a few lines a tile: otherwise its copy would wait for
 * memory. Rows of `width` bytes, `pitch` bytes apart. */
struct direct_ahead {
    const char *at;
    int64_t rows;
    ptrdiff_t width, pitch, done; /* bytes; done: of the present row */
    int32_t lines;                /* a tile */
};

/* `tiles` calls of direct_prefetch will have asked for all of it. */
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

static inline void direct_prefetch(struct direct_ahead *ahead)
{
    for (int32_t i = 0; i < ahead->lines && ahead->rows > 0; i++) {
        __builtin_prefetch(ahead->at + ahead->done, 0, 2);
        ahead->done += 64;
        if (ahead->done >= ahead->width) {
            ahead->done = 0;
            ahead->at += ahead->pitch;
            ahead->rows--;
        }
    }
}
#endif
