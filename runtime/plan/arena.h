/* Places buffers in one block of memory by first and last use: buffers whose lives overlap never share a byte.
 * Greedy by size, as in Pisarchyk & Lee 2020 ("Efficient memory management for deep neural net inference"). */
#ifndef SL_RUNTIME_PLAN_ARENA_H
#define SL_RUNTIME_PLAN_ARENA_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_ARENA_ALIGNMENT = 256 };

struct sl_block {
    size_t bytes;
    int32_t first, last;      /* the times of its first and last use, inclusive */
    const char *owner, *what; /* "conv1", "output": for the message of a refusal */
    size_t offset;            /* out */
};

/* Gives every block its offset; *total is the size of the arena. SL_SYSTEM without memory to plan in. */
int sl_arena_place(struct sl_block *blocks, size_t count, size_t *total);

/* The same in an arena that also holds blocks of somebody else, which have their offsets and stay as they are, whatever
 * their times. */
int sl_arena_place_beside(const struct sl_block *others, size_t other_count, struct sl_block *blocks, size_t count,
                          size_t *total);

/* "conv1 output 16.8 MB, ..." : the largest consumers, for a refusal. */
void sl_arena_consumers(const struct sl_block *blocks, size_t count, char *text, size_t length);

#ifdef __cplusplus
}
#endif
#endif
