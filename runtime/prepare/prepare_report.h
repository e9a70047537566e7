/* How far a preparation is. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_REPORT_H
#define SL_RUNTIME_PREPARE_PREPARE_REPORT_H

#include "runtime/prepare/prepare_options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far one pass over the images is. */
struct sl_prepare_pass {
    const struct sl_prepare_options *options;
    const char *what; /* "verified", "written" */
    uint64_t done, total;
};

/* So many images more are done; tells the options' `progress`. */
void sl_prepare_advance(struct sl_prepare_pass *pass, size_t images);

#ifdef __cplusplus
}
#endif
#endif
