/* Cells: how backward-weights cuts dw. A cell is some output channels x some input channels, for the whole kernel.
 * Cells are what the launch hands out, row after row: a row of cells has the same output channels. A cell sums over all
 * pixels of all images in one order, so that no slicing changes a bit.
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
};

/* Output channels [k, k_end) x input channels [c, c_end). */
struct sl_area {
    int32_t k, k_end, c, c_end;
};

/* dw in cells of k x c channels; areas of one row until most_rows says otherwise. */
struct sl_cells sl_cells_of(int32_t all_k, int32_t all_c, int32_t k, int32_t c);

/* Joins the first cells of [begin, end) to an area: neighbours within one row of cells, or whole rows. Returns how many
 * cells it joined. */
int64_t sl_cells_join(const struct sl_cells *cells, int64_t begin, int64_t end, struct sl_area *area);

/* Lets an area join as many rows as keep within `most` bytes, a row being `row` bytes; one at least. */
void sl_cells_limit(struct sl_cells *cells, size_t row, size_t most);

static inline int64_t sl_cells_count(const struct sl_cells *cells)
{
    return (int64_t)cells->k_cells * cells->c_cells;
}

/* Half of n channels, in multiples of `multiple`. */
static inline int32_t sl_cells_half(int32_t n, int32_t multiple)
{
    return sl_round_up((n + 1) / 2, multiple);
}
#endif
