/* An invented image set in TinyImageNet's layout. A class is a shape filled with a texture; colours, position, scale,
 * rotation, background and noise are random, so that neither shape nor texture nor colour alone tells the classes
 * apart. */
#ifndef SL_RUNTIME_PREPARE_INVENT_H
#define SL_RUNTIME_PREPARE_INVENT_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_INVENT_SHAPES = 10, SL_INVENT_TEXTURES = 20, SL_INVENT_MAX_CLASSES = SL_INVENT_SHAPES * SL_INVENT_TEXTURES };

struct sl_invent_options {
    int32_t classes, per_class, val_per_class;
    int32_t size; /* pixels a side */
    uint64_t seed;
};

/* What class `index` of `classes` shows, an index below SL_INVENT_SHAPES and one below SL_INVENT_TEXTURES. */
void sl_invent_class(int32_t index, int32_t classes, int32_t *shape, int32_t *texture);

/* "disc", "wide stripes" */
const char *sl_invent_shape_name(int32_t shape);
const char *sl_invent_texture_name(int32_t texture);

/* Draws picture `number` of the seed: rgb[size][size][3], and the object's box (x0, y0, x1, y1), last pixels included.
 * About one picture in fifty is grey. The same bytes on every machine: nothing but correctly rounded arithmetic. */
void sl_invent_draw(uint64_t seed, uint64_t number, int32_t shape, int32_t texture, int32_t size, uint8_t *rgb,
                    int32_t box[4]);

/* Writes the whole set into FOLDER, which must not exist or be empty (missing folders above it are created): wnids.txt
 * (unsorted, as in the original; written last), words.txt, train/ID/images/ID_N.JPEG, train/ID/ID_boxes.txt,
 * val/images/val_N.JPEG, val/val_annotations.txt. SL_BAD_CONFIG: a number out of range. SL_CANNOT_CREATE, SL_IO. */
int sl_invent_write(const char *folder, const struct sl_invent_options *options);

#ifdef __cplusplus
}
#endif
#endif
