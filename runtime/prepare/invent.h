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
    int32_t classes, per_class, val_per_class;
    int32_t size; /* pixels a side */
    uint64_t seed;
};

/* Writes the whole set into FOLDER, which must not exist or be empty (missing folders above it are created): wnids.txt
 * (unsorted, as in the original; written last), words.txt, train/ID/images/ID_N.JPEG, train/ID/ID_boxes.txt,
 * val/images/val_N.JPEG, val/val_annotations.txt. SL_BAD_CONFIG: a number out of range. SL_CANNOT_CREATE, SL_IO. */
int sl_invent_write(const char *folder, const struct sl_invent_options *options);

#ifdef __cplusplus
}
#endif
#endif
