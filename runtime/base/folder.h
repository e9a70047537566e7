/* Folders: made, looked into and removed. */
#ifndef SL_RUNTIME_BASE_FOLDER_H
#define SL_RUNTIME_BASE_FOLDER_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Creates one folder, durably; one that exists already is fine. SL_CANNOT_CREATE, SL_IO. */
int sl_folder_create(const char *path);

/* The same with the folders above it. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_folder_create_all(const char *path);

/* Is this the name of something that systems leave in any folder: .DS_Store, Thumbs.db, lost+found, __MACOSX, ...? */
bool sl_folder_is_clutter(const char *name);

/* SL_CANNOT_CREATE: the folder holds more than clutter, or cannot be read. */
int sl_folder_check_empty(const char *path);

/* Calls `visit` for each entry of a folder but "." and "..", and ends at its first error. The names are read before the
 * first call, so `visit` may change the folder. SL_MISSING, SL_BAD_DATA (a link in a circle), SL_IO, SL_SYSTEM: the
 * folder cannot be opened, or not be read to its end. */
typedef int sl_folder_visit_fn(void *self, const char *name);
int sl_folder_each(const char *path, sl_folder_visit_fn *visit, void *self);

/* Removes a folder with everything in it. Of a link only the link goes; a missing folder is fine. What is deeper than
 * 8 levels, or on another file system, is not entered: SL_CANNOT_CREATE. */
int sl_folder_remove(const char *path);

#ifdef __cplusplus
}
#endif
#endif
