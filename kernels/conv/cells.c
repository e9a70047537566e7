#include "kernels/conv/cells.h"

static int64_t smaller64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int32_t smaller(int64_t a, int64_t b)
{
    return (int32_t)smaller64(a, b);
}

struct sl_cells sl_cells_of(int32_t all_k, int32_t all_c, int32_t k, int32_t c)
{
    return (struct sl_cells){.all_k = all_k,
                             .all_c = all_c,
                             .k = k,
                             .c = c,
                             .k_cells = (all_k + k - 1) / k,
                             .c_cells = (all_c + c - 1) / c,
                             .most_rows = 1,
                             .parts = 1};
}

int64_t sl_cells_parts(int64_t pixels, int64_t least)
{
    enum { MOST = 64 };
    int64_t parts = 1;
    while (parts < MOST && pixels / (2 * parts) >= least)
        parts *= 2;
    return parts;
}

void sl_cells_limit(struct sl_cells *cells, size_t row, size_t most)
{
    cells->most_rows = row < most ? smaller((int64_t)(most / row), cells->k_cells) : 1;
}

int64_t sl_cells_join(const struct sl_cells *cells, int64_t begin, int64_t end, struct sl_area *area)
{
    const int64_t cell = begin % sl_cells_count(cells);
    const int64_t row = cell / cells->c_cells, column = cell % cells->c_cells;
    int64_t rows = 1;
    const int64_t left = smaller64(sl_cells_count(cells) - cell, end - begin);
    const int64_t columns = smaller64(cells->c_cells - column, left);
    if (columns == cells->c_cells)
        rows = smaller64(left / columns, cells->most_rows);
    area->k = (int32_t)row * cells->k;
    area->c = (int32_t)column * cells->c;
    area->k_end = smaller(area->k + rows * cells->k, cells->all_k);
    area->c_end = smaller(area->c + columns * cells->c, cells->all_c);
    return rows * columns;
}
