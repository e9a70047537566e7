/* An invented image set in TinyImageNet's layout. A class is a shape filled with a texture; colours, position, scale,
 * rotation, background and noise are random, so that neither shape nor texture nor colour alone tells the classes
 * apart. */
#ifndef SL_RUNTIME_PREPARE_INVENT_H
#define SL_RUNTIME_PREPARE_INVENT_H

#include "runtime/prepare/invent_draw.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_invent_options {
    int32_t classes;       /* 2 to SL_INVENT_MAX_CLASSES */
    int32_t per_class;     /* training images of each, at least 1 */
    int32_t val_per_class; /* validation images of each, at least 1 */
    int32_t size;          /* pixels a side, 16 to 1024 */
    uint64_t seed;
};

/* Writes the set into a folder, which is created or must be empty: wnids.txt (unsorted, as in the original; written
 * last), words.txt, train/ID/images/ID_N.JPEG, train/ID/ID_boxes.txt, val/images/val_N.JPEG, val/val_annotations.txt.
 * SL_BAD_CONFIG: an option is out of range. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_invent_write(const char *folder, const struct sl_invent_options *options);

#ifdef __cplusplus
}
#endif
#endif
