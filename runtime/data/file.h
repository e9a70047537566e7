/* Whole files in, whole files out: a reader with a cap, and an output that appears under its name only when it is
 * complete. */
#ifndef SL_RUNTIME_DATA_FILE_H
#define SL_RUNTIME_DATA_FILE_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads a regular file of at most `cap` bytes; the caller frees *bytes. One byte past the end is a zero, so text is a
 * string. SL_MISSING: no such file. SL_BAD_DATA: not a regular file, or over the cap. SL_IO. */
int sl_file_read(const char *path, size_t cap, uint8_t **bytes, size_t *length);

/* "FOLDER/NAME" in fresh memory, or NULL with the error detail set (SL_SYSTEM). */
char *sl_path_join(const char *folder, const char *name);

/* Creates one folder; one that exists already is fine. SL_CANNOT_CREATE. */
int sl_folder_create(const char *path);

/* A file being written as PATH.tmp. */
struct sl_output;

/* SL_CANNOT_CREATE: the folder is missing or not writable. */
int sl_output_open(const char *path, struct sl_output **output);

/* SL_IO: disk full, quota, device error. */
int sl_output_write(struct sl_output *output, const void *bytes, size_t n);

/* fsync, rename to PATH, fsync of the folder. SL_IO. */
int sl_output_commit(struct sl_output *output);

/* Frees; removes PATH.tmp if it was not committed. NULL is fine. */
void sl_output_close(struct sl_output *output);

#ifdef __cplusplus
}
#endif
#endif
