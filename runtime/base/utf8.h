/* UTF-8. The names of files and folders are any bytes; keys, classes and dataset.json are UTF-8. */
#ifndef SL_RUNTIME_BASE_UTF8_H
#define SL_RUNTIME_BASE_UTF8_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of the UTF-8 character that `text` begins with: 1 to 4; 0 if it begins with none, or at its end. */
size_t sl_utf8_length(const char *text);

/* Is all of the text UTF-8? */
bool sl_utf8_valid(const char *text);

/* The name as UTF-8, to be freed: a byte that belongs to no character becomes %XX. NULL: out of memory, with the detail
 * set (SL_SYSTEM). */
char *sl_utf8_name(const char *name);

#ifdef __cplusplus
}
#endif
#endif
