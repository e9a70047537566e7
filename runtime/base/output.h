/* On top of file_io.h: paths as expressions, and an output that appears under its name only when it is complete. */
#ifndef SL_RUNTIME_BASE_OUTPUT_H
#define SL_RUNTIME_BASE_OUTPUT_H

#include "runtime/base/file_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* FOLDER/NAME as an expression: fresh memory, or NULL with the error's detail set (SL_SYSTEM). */
static inline char *sl_path_join(const char *folder, const char *name)
{
    char *path = NULL;
    return sl_io_join(folder, name, &path) == SL_OK ? path : NULL;
}

/* Creates one folder, durably; one that exists already is fine. SL_CANNOT_CREATE, SL_IO. */
int sl_folder_create(const char *path);

/* The same with the folders above it. SL_CANNOT_CREATE, SL_IO. */
int sl_folder_create_all(const char *path);

/* What systems leave in any folder: .DS_Store, Thumbs.db, lost+found, __MACOSX, ... */
bool sl_is_clutter(const char *name);

/* SL_CANNOT_CREATE: the folder holds more than clutter, or cannot be read. */
int sl_folder_check_empty(const char *path);

/* A file being written as PATH.tmp. */
struct sl_output;

/* A PATH.tmp that is there is replaced. SL_CANNOT_CREATE: the folder is missing or not writable. */
int sl_output_open(const char *path, struct sl_output **output);

/* SL_CANNOT_CREATE: disk full, quota. SL_IO: device error. */
int sl_output_write(struct sl_output *output, const void *bytes, size_t n);

/* fsync, rename to PATH, fsync of the folder. SL_CANNOT_CREATE, SL_IO. */
int sl_output_commit(struct sl_output *output);

/* Frees; removes PATH.tmp if it was not committed. NULL is fine. */
void sl_output_close(struct sl_output *output);

#ifdef __cplusplus
}
#endif
#endif
