/* The file system's steps, for all that must survive a kill or a full disk. Each names its path and the system's reason
 * when it fails, and can be made to fail by a test. Those that write follow no symbolic link. */
#ifndef SL_RUNTIME_BASE_FILE_IO_H
#define SL_RUNTIME_BASE_FILE_IO_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For tests: called with the path before each step that changes the disk ("create", "write", "sync", "rename", "mkdir",
 * "remove", "lock") or asks it ("open", "read", "list"). 0 lets the step happen, an errno makes it fail with that. It
 * may also not return, as if the process were killed there. NULL, the default: nothing is called. */
typedef int sl_io_fault_fn(const char *step, const char *path);
extern sl_io_fault_fn *sl_io_fault_hook;

/* Every step asks first: 0, or the errno with which it is to fail. */
int sl_io_fault(const char *step, const char *path);

/* The status of an errno met while writing: SL_CANNOT_CREATE where the user must act (full, read-only, no permission,
 * wrong path), SL_SYSTEM for exhausted memory or descriptors, else SL_IO. */
int sl_io_status(int error);

/* The status of an errno met while opening for reading. SL_MISSING. SL_BAD_DATA: a link where none may be, links in a
 * circle, a socket. SL_SYSTEM: memory, descriptors. Else SL_IO: a failing device, no permission. The last two say
 * nothing about the file's content. */
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

/* Creates a file that must not exist, for writing. The caller ends with sl_io_sync_close() or close().
 * SL_CANNOT_CREATE, SL_IO, SL_SYSTEM, as all that follow unless they say otherwise. */
int sl_io_create(const char *path, int *fd);
/* Creates PATH.RANDOM.tmp, whose name cannot be guessed, with the permissions of any new file. The caller frees
 * *temporary. */
int sl_io_create_beside(const char *path, char **temporary, int *fd);
int sl_io_write(int fd, const char *path, const void *bytes, size_t n); /* all of it; interrupted writes go on */
int sl_io_sync_close(int *fd, const char *path);                        /* closes in any case, and sets *fd to -1 */
int sl_io_sync_folder(const char *path);
int sl_io_make_folder(const char *path); /* must not exist; its parent is synced */
int sl_io_rename(const char *from, const char *to);
int sl_io_remove(const char *path); /* a file, link or empty folder; missing is fine */

/* Reads a file of our own, of at most `cap` bytes. No link is followed. *text ends with a zero byte and is freed by the
 * caller. SL_MISSING, SL_BAD_DATA (too large, or not a file), SL_IO, SL_SYSTEM. */
int sl_io_read_own(const char *path, size_t cap, char **text, size_t *n);

/* Reads a file of the user's, wherever links lead: a regular file of at most `cap` bytes. The caller frees *bytes. One
 * byte past the end is zero, so text is a string. SL_MISSING. SL_BAD_DATA: not a regular file, or larger than `cap`.
 * SL_IO, SL_SYSTEM. */
int sl_io_read(const char *path, size_t cap, uint8_t **bytes, size_t *length);

#ifdef __cplusplus
}
#endif
#endif
