/* The names in a folder of the input, and what they stand for. */
#ifndef SL_RUNTIME_PREPARE_FOLDER_NAMES_H
#define SL_RUNTIME_PREPARE_FOLDER_NAMES_H

#include <dirent.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The names in a folder, sorted and without hidden ones; sl_names_free() frees them. SL_MISSING, SL_IO, SL_SYSTEM. */
int sl_names_read(const char *folder, struct dirent ***names, int *count);
void sl_names_free(struct dirent **names, int count);

/* Is the entry a folder, or a link to one, that may hold images? What systems leave everywhere (sl_folder_is_clutter)
 * may not. SL_IO, SL_SYSTEM: it cannot be known. */
int sl_holds_images(const char *folder, const struct dirent *entry, bool *holds);

/* Is there a file or folder of that name? SL_IO, SL_SYSTEM: it cannot be known. */
int sl_exists_in(const char *folder, const char *name, bool *exists);

#ifdef __cplusplus
}
#endif
#endif
