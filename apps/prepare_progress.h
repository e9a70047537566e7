/* What starling-prepare says on stderr while it works: on a terminal one line, redrawn; elsewhere plain lines now and
 * then. */
#ifndef SL_APPS_PREPARE_PROGRESS_H
#define SL_APPS_PREPARE_PROGRESS_H

#include "kernels/base.h"

struct prepare_progress {
    bool quiet, terminal;
    bool drawn;         /* a line stands on the terminal, without a newline */
    const char *what;   /* the pass */
    double begun, told; /* the pass; the last news of it */
    double shown;       /* the last line */
};

void prepare_progress_open(struct prepare_progress *progress, bool quiet);
void prepare_progress_close(struct prepare_progress *progress);

/* The callbacks of sl_prepare_options; `self` is a struct prepare_progress. */
void prepare_progress_say(void *self, const char *line);
void prepare_progress_show(void *self, const char *what, uint64_t done, uint64_t total);

#endif
