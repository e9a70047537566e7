/* Where a program's results go: standard output, or a file that appears when it is whole. A program has one at a time.
 */
#ifndef SL_APPS_CLI_OUTPUT_H
#define SL_APPS_CLI_OUTPUT_H

#include "runtime/base/result.h"

struct cli_output {
    FILE *to;
    struct sl_result file;
};

/* `path`: NULL or the file that standard output already is: standard output. A signal that ends the program takes the
 * unfinished file with it. Whatever the result, cli_output_close() follows. The errors of sl_result_open. */
int cli_output_open(const char *path, struct cli_output *output);

/* SL_IO, and of a file the errors of sl_result_flush. */
int cli_output_flush(struct cli_output *output);

/* The results are whole. */
int cli_output_commit(struct cli_output *output);

void cli_output_close(struct cli_output *output); /* a cleared one is fine */

#endif
