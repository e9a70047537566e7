/* Cells: how backward-weights cuts dw. A cell is some output channels x some input channels, for the whole kernel.
 * Cells are what the launch hands out, row after row: a row of cells has the same output channels. A cell sums in one
 * order, so that no slicing changes a bit: over all pixels of all images or, where those are many, over one of a few
 * equal parts of them. All cells of a part come before those of the next.
 *
 * The neighbouring cells of a slice are computed together, as one area: x and dy are then read once for all of them. */
#ifndef SL_KERNELS_CONV_CELLS_H
#define SL_KERNELS_CONV_CELLS_H

#include "kernels/base.h"

struct sl_cells {
    int32_t all_k, all_c; /* channels of dw: output, input */
    int32_t k, c;         /* of a cell; the last row and the last column may have fewer */
    int32_t k_cells, c_cells;
    int32_t most_rows; /* rows of cells that one area may join */
    int64_t parts;     /* of the sum over pixels; at least 1 */
};

/* Output channels [k, k_end) x input channels [c, c_end). */
struct sl_area {
    int32_t k, k_end, c, c_end;
};

/* dw in cells of k x c channels, in one part; areas of one row until most_rows says otherwise. */
struct sl_cells sl_cells_of(int32_t all_k, int32_t all_c, int32_t k, int32_t c);

/* The parts of a sum over so many pixels (or tiles), none of them with less than `least`: a power of two, because sizes
 * are, and at most as many as fill a node of many cores. */
int64_t sl_cells_parts(int64_t pixels, int64_t least);

/* Joins the first cells of [begin, end), of one part, to an area: neighbours within one row of cells, or whole rows.
 * Returns how many cells it joined. */
int64_t sl_cells_join(const struct sl_cells *cells, int64_t begin, int64_t end, struct sl_area *area);

/* Lets an area join as many rows as keep within `most` bytes, a row being `row` bytes; one at least. */
void sl_cells_limit(struct sl_cells *cells, size_t row, size_t most);

/* Cells of one part. */
static inline int64_t sl_cells_count(const struct sl_cells *cells)
{
    return (int64_t)cells->k_cells * cells->c_cells;
}

/* What the launch hands out: cell `unit` % count of part `unit` / count. */
static inline int64_t sl_cells_units(const struct sl_cells *cells)
{
    return sl_cells_count(cells) * cells->parts;
}

/* need.parts. */
static inline int64_t sl_cells_partial(const struct sl_cells *cells)
{
    return cells->parts > 1 ? cells->parts : 0;
}

/* Half of n channels, in multiples of `multiple`. */
static inline int32_t sl_cells_half(int32_t n, int32_t multiple)
{
    return sl_round_up((n + 1) / 2, multiple);
}
#endif
