/* A flat JSON object of named settings: what a run was made with. */
#ifndef SL_RUNTIME_REPORT_RUN_CONFIG_H
#define SL_RUNTIME_REPORT_RUN_CONFIG_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_setting_kind {
    SL_SETTING_TEXT, /* const char *; NULL, and what is not UTF-8, is written as null */
    SL_SETTING_INT,  /* int64_t */
    SL_SETTING_REAL, /* double, finite */
    SL_SETTING_BOOL, /* bool */
};

struct sl_setting {
    const char *name;
    enum sl_setting_kind kind;
    const void *value; /* where it is */
};

/* Writes them in their order; the file is replaced whole or not at all, and a link or a pipe under that name is
 * replaced, not followed. SL_CANNOT_CREATE, SL_IO, SL_SYSTEM. */
int sl_run_config_write(const char *path, const struct sl_setting *settings, size_t count);

#ifdef __cplusplus
}
#endif
#endif
