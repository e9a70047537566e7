/* Bands of bf16: how the AMX rows see the source of forward and backward-data. Of numbers in several parts
 * (conv_amx_element.h) there is a band of each part.
 *
 * A band is a copy of the source rows under a unit, with zeros where the padding is. In it every output pixel of a
 * phase (window.h) meets every tap of that phase, and two neighbouring pixels of the output meet pixels of the band
 * that are always equally far apart. So a tile of 16 pixels is one pointer and one distance, even where it goes on in
 * the next row: the positions between two rows are computed with the others and thrown away.
 *
 * A place is where a tile lies. The next place begins at the first pixel that the ones before it have left out. */
#ifndef SL_KERNELS_CONV_AMX_BAND_H
#define SL_KERNELS_CONV_AMX_BAND_H

#include "kernels/bf16.h"
#include "kernels/conv/window.h"

struct sl_amx_band {
    struct sl_window window;
    int32_t pitch;   /* elements of a pixel of the band */
    int32_t columns; /* of a row of the band, a multiple of the columns' stride */
    int32_t parts;
    ptrdiff_t part; /* elements from one part to the next */
};

/* Lays out `count` elements of the source that follow each other: each part of them `part` elements behind the last. */
typedef void sl_amx_lay(const void *from, size_t count, sl_bf16 *to, ptrdiff_t part);

enum { SL_AMX_PIXELS = 16 }; /* of a tile */

struct sl_amx_place {
    ptrdiff_t source;         /* where the first pixel's first tap lies in the band, in elements */
    int32_t y[SL_AMX_PIXELS]; /* each pixel, counted from the unit's first output pixel; -1: thrown away */
};

/* The taps of a pair of phases: rows x columns. */
struct sl_amx_taps {
    int32_t row_phase, column_phase;
    int32_t rows, columns; /* taps; either may be 0 */
};

/* What a unit reads of the source. */
struct sl_unit_source sl_amx_band_source(const struct sl_amx_band *band, const struct sl_unit *unit);

struct sl_amx_band sl_amx_band_plan(const struct sl_window *window, int32_t parts);

/* Would the band of a unit hold what the source holds, as it lies there: one tap, no padding, all pixels? Not at the
 * end of the source, for tiles read past the unit. */
bool sl_amx_band_is_source(const struct sl_amx_band *band, const struct sl_unit *unit);

/* Moves on to the next pair of phases. Start from `sl_amx_first_taps`; false when there is none left. */
struct sl_amx_taps sl_amx_first_taps(const struct sl_amx_band *band);
bool sl_amx_next_taps(const struct sl_amx_band *band, struct sl_amx_taps *taps);

/* Bytes of scratch: for the band of any unit, and for the places of a unit and a pair of phases. Multiples of 64. */
size_t sl_amx_band_scratch(const struct sl_amx_band *band);
size_t sl_amx_places_scratch(const struct sl_amx_band *band);

/* Rows of the band under `rows` rows of the output. */
int32_t sl_amx_band_rows(const struct sl_amx_band *band, int32_t rows);

/* Copies the source under a unit; an element of it has so many bytes. */
void sl_amx_band_copy(const struct sl_amx_band *band, const void *x, size_t element, const struct sl_unit *unit,
                      sl_amx_lay *lay, sl_bf16 *to);

/* Lists the places of the pixels of one pair of phases; how many there are. */
int32_t sl_amx_places(const struct sl_amx_band *band, const struct sl_unit *unit, const struct sl_amx_taps *taps,
                      struct sl_amx_place *places);
#endif
