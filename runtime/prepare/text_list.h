/* A text file that comes with an image set, read line by line. */
#ifndef SL_RUNTIME_PREPARE_TEXT_LIST_H
#define SL_RUNTIME_PREPARE_TEXT_LIST_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_text_list {
    char *path;    /* for messages */
    char *text;    /* the whole, cut into lines as they are read */
    char *at;      /* the first byte that is not yet read */
    size_t number; /* of the last line, from 1 */
};

/* Reads FOLDER/NAME and drops a byte-order mark of UTF-8. Whatever the result, sl_text_list_close() follows.
 * SL_MISSING. SL_BAD_DATA: it is no text, or UTF-16. SL_IO, SL_SYSTEM. */
int sl_text_list_open(const char *folder, const char *name, struct sl_text_list *list);

/* The next line that is not empty, without white space at its end; NULL after the last. Lines end with LF, CR LF or CR.
 * The line belongs to the list, and may be changed. */
char *sl_text_list_next(struct sl_text_list *list);

void sl_text_list_close(struct sl_text_list *list); /* a cleared one is fine */

#ifdef __cplusplus
}
#endif
#endif
