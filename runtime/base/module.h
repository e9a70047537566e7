/* Modules: shared objects of ours that a program loads when it needs what is in them, so that the library they depend
 * on need not be installed elsewhere. */
#ifndef SL_RUNTIME_BASE_MODULE_H
#define SL_RUNTIME_BASE_MODULE_H

#include <limits.h>

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_module_search {
    char found[PATH_MAX]; /* the first that is there */
    char looked[768];     /* all places, for a message */
};

/* Looks for libstarling_NAME.so in the folders of SL_MODULE_PATH (separated by colons), beside the program, and where
 * it was installed. False: it is nowhere. */
bool sl_module_find(const char *name, struct sl_module_search *search);

/* Loads the file with what it depends on; it stays. `global`: its symbols are for all to see. *function: the one it
 * exports under that name, a pointer to a function of any type. SL_UNAVAILABLE says what is missing. */
int sl_module_load(const char *path, bool global, const char *name, void *function);

#ifdef __cplusplus
}
#endif
#endif
