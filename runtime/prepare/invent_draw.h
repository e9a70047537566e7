/* The pictures of the invented image set. */
#ifndef SL_RUNTIME_PREPARE_INVENT_DRAW_H
#define SL_RUNTIME_PREPARE_INVENT_DRAW_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_INVENT_SHAPES = 10, SL_INVENT_TEXTURES = 20, SL_INVENT_MAX_CLASSES = SL_INVENT_SHAPES * SL_INVENT_TEXTURES };

/* What class `index` of `classes` shows, an index below SL_INVENT_SHAPES and one below SL_INVENT_TEXTURES. */
void sl_invent_class(int32_t index, int32_t classes, int32_t *shape, int32_t *texture);

/* "disc", "wide stripes" */
const char *sl_invent_shape_name(int32_t shape);
const char *sl_invent_texture_name(int32_t texture);

/* Draws picture `number` of the seed: rgb[size][size][3], and the object's box (x0, y0, x1, y1), last pixels included.
 * About one picture in fifty is grey. The same bytes on every machine: nothing but correctly rounded arithmetic. */
void sl_invent_draw(uint64_t seed, uint64_t number, int32_t shape, int32_t texture, int32_t size, uint8_t *rgb,
                    int32_t box[4]);

#ifdef __cplusplus
}
#endif
#endif
