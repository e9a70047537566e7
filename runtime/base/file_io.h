/* The file system steps of everything that must survive a kill or a full disk: each names its path and errno when it
 * fails, never follows a symbolic link it did not make, and can be made to fail by a test. */
#ifndef SL_RUNTIME_BASE_FILE_IO_H
#define SL_RUNTIME_BASE_FILE_IO_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For tests: called before each step that changes the disk ("create", "write", "sync", "rename", "mkdir", "remove",
 * "lock") or asks it ("open", "read", "list") with its path. 0 lets it happen; an errno makes it fail with that; it may
 * also not return, as if the process were killed there. NULL (the default): nothing is called. */
typedef int sl_io_fault_fn(const char *step, const char *path);
extern sl_io_fault_fn *sl_io_fault_hook;

/* 0, or the errno with which the coming step is to fail: every step asks it first. */
int sl_io_fault(const char *step, const char *path);

/* The status of an errno met while writing: SL_CANNOT_CREATE where the user must act (full, read-only, no permission,
 * wrong path), SL_SYSTEM for exhausted memory or descriptors, else SL_IO. */
int sl_io_status(int error);

/* The status of an errno met while opening for reading: SL_MISSING, SL_BAD_DATA (links where none may be or that lead
 * in a circle, a socket), SL_SYSTEM (memory, descriptors), else SL_IO (a device that fails, no permission): these two
 * say nothing about the file's content. */
int sl_io_open_status(int error);

/* "PATH: cannot WHAT: reason", from `error`; returns sl_io_status(error). */
int sl_io_fail(const char *what, const char *path, int error);

/* The errno of this thread's last sl_io_fail; 0 if there was none since sl_io_clear_error. */
int sl_io_last_error(void);
void sl_io_clear_error(void);

/* FOLDER/NAME, to be freed; sl_io_path gives it as an expression, NULL with the detail set. SL_SYSTEM. */
int sl_io_join(const char *folder, const char *name, char **path);
char *sl_io_path(const char *folder, const char *name);

/* The folder that holds the path, to be freed: "." for a name alone. SL_SYSTEM. */
int sl_io_parent(const char *path, char **parent);

/* Creates a file that must not exist. The caller ends with sl_io_sync_close or close(). */
int sl_io_create(const char *path, int *fd);
/* Creates PATH.RANDOM.tmp: not to be guessed, with the permissions of any new file. The caller frees *temporary. */
int sl_io_create_beside(const char *path, char **temporary, int *fd);
int sl_io_write(int fd, const char *path, const void *bytes, size_t n); /* all of it; interrupted writes go on */
int sl_io_sync_close(int *fd, const char *path);                        /* closes in any case, and sets *fd to -1 */
int sl_io_sync_folder(const char *path);
int sl_io_make_folder(const char *path); /* must not exist; its parent is synced */
int sl_io_rename(const char *from, const char *to);
int sl_io_remove(const char *path); /* a file, link or empty folder; missing is fine */

/* Reads one of our own files, of at most `cap` bytes; *text is NUL-terminated and freed by the caller. SL_MISSING,
 * SL_BAD_DATA (too large, or not a file), SL_IO, SL_SYSTEM. */
int sl_io_read_own(const char *path, size_t cap, char **text, size_t *n);

/* Reads a file of the user's, wherever links lead: a regular file of at most `cap` bytes; the caller frees *bytes. One
 * byte past the end is a zero, so text is a string. SL_MISSING: no such file. SL_BAD_DATA: not a regular file, or over
 * the cap. SL_SYSTEM, SL_IO. */
int sl_io_read(const char *path, size_t cap, uint8_t **bytes, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
