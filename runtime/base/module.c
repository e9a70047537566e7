#include "runtime/base/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Looks in FOLDER/REST, of which the folder need not end with a zero. */
static bool look(struct sl_module_search *search, const char *name, const char *folder, size_t length, const char *rest)
{
    const size_t said = strlen(search->looked);
    const int wanted =
        snprintf(search->found, sizeof search->found, "%.*s/%slibstarling_%s.so", (int)length, folder, rest, name);
    if (length == 0 || wanted < 0 || (size_t)wanted >= sizeof search->found)
        return false;
    snprintf(search->looked + said, sizeof search->looked - said, "%s%s", said ? ", " : "", search->found);
    return access(search->found, F_OK) == 0;
}

static bool look_in_list(struct sl_module_search *search, const char *name, const char *list)
{
    while (list) {
        const char *end = strchr(list, ':');
        if (look(search, name, list, end ? (size_t)(end - list) : strlen(list), ""))
            return true;
        list = end ? end + 1 : NULL;
    }
    return false;
}

static bool look_beside_program(struct sl_module_search *search, const char *name)
{
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *slash = strrchr(program, '/');
    const size_t folder = slash ? (size_t)(slash - program) : 0;
    return look(search, name, program, folder, "") || look(search, name, program, folder, SL_MODULES_FROM_PROGRAMS "/");
}

bool sl_module_find(const char *name, struct sl_module_search *search)
{
    search->looked[0] = '\0';
    return look_in_list(search, name, getenv("SL_MODULE_PATH")) || look_beside_program(search, name) ||
           look(search, name, SL_MODULES, strlen(SL_MODULES), "");
}

int sl_module_load(const char *path, bool global, const char *name, void *function)
{
    void *module = dlopen(path, RTLD_NOW | (global ? RTLD_GLOBAL : RTLD_LOCAL) | RTLD_NODELETE);
    if (!module)
        return sl_fail(SL_UNAVAILABLE, "%s", dlerror());
    void *symbol = dlsym(module, name);
    if (!symbol)
        return sl_fail(SL_UNAVAILABLE, "%s: no %s in it", path, name);
    memcpy(function, &symbol, sizeof symbol);
    return SL_OK;
}
