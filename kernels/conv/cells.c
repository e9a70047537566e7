#include "kernels/conv/cells.h"

static int32_t smaller(int64_t a, int64_t b)
{
    return (int32_t)(a < b ? a : b);
}

struct sl_cells sl_cells_of(int32_t all_k, int32_t all_c, int32_t k, int32_t c)
{
    return (struct sl_cells){.all_k = all_k,
                             .all_c = all_c,
                             .k = k,
                             .c = c,
                             .k_cells = (all_k + k - 1) / k,
                             .c_cells = (all_c + c - 1) / c,
                             .most_rows = 1};
}

void sl_cells_limit(struct sl_cells *cells, size_t row, size_t most)
{
    cells->most_rows = row < most ? smaller((int64_t)(most / row), cells->k_cells) : 1;
}

int64_t sl_cells_join(const struct sl_cells *cells, int64_t begin, int64_t end, struct sl_area *area)
{
    const int64_t row = begin / cells->c_cells, column = begin % cells->c_cells;
    int64_t rows = 1;
    const int64_t columns = smaller(cells->c_cells - column, end - begin);
    if (columns == cells->c_cells)
        rows = smaller((end - begin) / columns, cells->most_rows);
    area->k = (int32_t)row * cells->k;
    area->c = (int32_t)column * cells->c;
    area->k_end = smaller(area->k + rows * cells->k, cells->all_k);
    area->c_end = smaller(area->c + columns * cells->c, cells->all_c);
    return rows * columns;
}
