/* Names that strangers gave (keys, paths, classes) on their way to a table, a terminal or JSON. They may hold anything:
 * no control character gets through, and what is written is UTF-8. */
#ifndef SL_RUNTIME_REPORT_TEXT_H
#define SL_RUNTIME_REPORT_TEXT_H

#include <stdio.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* For one field of a table: tab, line end, return and backslash are written as \t \n \r \\, other control characters
 * and bytes that are not UTF-8 as \xHH. printf '%b' (coreutils', bash's) gives the text back. */
void sl_text_print(FILE *to, const char *text);

/* For a message: the same, but line ends and backslashes stay. */
void sl_text_print_message(FILE *to, const char *text);

/* For a column of a report: `width` characters, cut or padded; what sl_text_print escapes is one '?'. */
void sl_text_print_column(FILE *to, const char *text, size_t width);

/* As a string of JSON, quotes included. Bytes that are not UTF-8 become U+FFFD. */
void sl_text_print_json(FILE *to, const char *text);

#ifdef __cplusplus
}
#endif
#endif
