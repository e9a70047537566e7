/* A list of paths, one a line, read as it comes: from a file, or from a program that is still writing it. */
#ifndef SL_APPS_PREDICT_LIST_H
#define SL_APPS_PREDICT_LIST_H

#include "kernels/base.h"

struct predict_list;

/* `path` "-": standard input. `zeros`: the paths end with a zero byte (find -print0) instead of a line. SL_MISSING,
 * SL_BAD_DATA (a folder), SL_IO, SL_SYSTEM. */
int predict_list_open(const char *path, bool zeros, struct predict_list **list);
void predict_list_close(struct predict_list *list);

/* The next path, valid until the following call; NULL at the end. Calls `idle` before it waits for more input, and
 * returns its failure. A byte-order mark, empty lines and the return of DOS line ends are left out. SL_BAD_DATA: a line
 * is too long for a path, or holds a zero byte. SL_IO. */
int predict_list_next(struct predict_list *list, int (*idle)(void *self), void *self, const char **path);

#endif
