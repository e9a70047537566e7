#include "comm/wire_find.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/timer.h"
#include "comm/wire_module.h"

/* ---- which ---- */

static const struct library {
    const char *name, *title, *package;
} libraries[] = {
    {"openmpi", "Open MPI", "libopenmpi3"},
    {"mpich", "MPICH", "libmpich12"},
};

/* What a launcher leaves in the environment, and whose library speaks with it; the first that is there counts. Open
 * MPI's mpirun sets PMIX_RANK too, as srun --mpi=pmix does; MPICH's (hydra) and srun --mpi=pmi2 set PMI_RANK. */
static const struct trace {
    const char *variable, *name;
} traces[] = {
    {"OMPI_COMM_WORLD_SIZE", "openmpi"},
    {"PMI_RANK", "mpich"},
    {"PMI_FD", "mpich"},
    {"PMI_PORT", "mpich"},
    {"PMIX_RANK", "openmpi"},
};

static const struct library *find_library(const char *name)
{
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
        if (strcmp(libraries[i].name, name) == 0)
            return &libraries[i];
    return NULL;
}

static int choose_forced(const char *wanted, const char **name)
{
    const struct library *library = find_library(wanted);
    *name = library ? library->name : NULL;
    if (library || strcmp(wanted, "none") == 0)
        return SL_OK;
    return sl_fail(SL_BAD_CONFIG, "SL_WIRE=%s: the choices are openmpi, mpich and none", wanted);
}

int sl_wire_choose(const char **name)
{
    const char *forced = getenv("SL_WIRE"), *tasks = getenv("SLURM_STEP_NUM_TASKS");
    *name = NULL;
    if (forced && *forced)
        return choose_forced(forced, name);
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        if (getenv(traces[i].variable)) {
            *name = traces[i].name;
            return SL_OK;
        }
    if (tasks && strtol(tasks, NULL, 10) > 1)
        return sl_fail(SL_UNAVAILABLE,
                       "srun started %s tasks without a way to find each other: use srun --mpi=pmix (Open MPI) or "
                       "srun --mpi=pmi2 (MPICH); SL_WIRE=none makes each work alone",
                       tasks);
    return SL_OK;
}

/* ---- where ---- */

struct search {
    const struct library *library;
    char found[PATH_MAX], looked[768]; /* all places, for the message */
};

/* Looks in FOLDER/REST, of which the folder need not end with a zero. */
static bool look(struct search *search, const char *folder, size_t length, const char *rest)
{
    const size_t said = strlen(search->looked);
    const int wanted = snprintf(search->found, sizeof search->found, "%.*s/%slibstarling_wire_%s.so", (int)length,
                                folder, rest, search->library->name);
    if (length == 0 || wanted < 0 || (size_t)wanted >= sizeof search->found)
        return false;
    snprintf(search->looked + said, sizeof search->looked - said, "%s%s", said ? ", " : "", search->found);
    return access(search->found, F_OK) == 0;
}

static bool look_in_list(struct search *search, const char *list)
{
    while (list) {
        const char *end = strchr(list, ':');
        if (look(search, list, end ? (size_t)(end - list) : strlen(list), ""))
            return true;
        list = end ? end + 1 : NULL;
    }
    return false;
}

static bool look_beside_program(struct search *search)
{
    char program[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *slash = strrchr(program, '/');
    const size_t folder = slash ? (size_t)(slash - program) : 0;
    return look(search, program, folder, "") || look(search, program, folder, SL_MODULES_FROM_PROGRAMS "/");
}

static int find_module(struct search *search)
{
    const struct library *library = search->library;
    if (look_in_list(search, getenv("SL_MODULE_PATH")) || look_beside_program(search) ||
        look(search, SL_MODULES, strlen(SL_MODULES), ""))
        return SL_OK;
    return sl_fail(SL_UNAVAILABLE,
                   "Starling's module for %s is not there: looked for %s; build with %s's development package, or set "
                   "SL_MODULE_PATH",
                   library->title, search->looked, library->title);
}

/* ---- loading ---- */

static int no_module(const struct search *search)
{
    return sl_fail(SL_UNAVAILABLE, "%s; is %s (%s) installed?", dlerror(), search->library->title,
                   search->library->package);
}

static int open_module(const struct search *search, double start_limit, struct sl_wire *wire)
{
    int rc = SL_OK;
    char what[64];
    struct sl_timer *deadline = NULL;
    const struct sl_wire_host host = {SL_WIRE_ABI, sl_fail};
    /* For all to see: Open MPI's components look for its symbols. It stays, since neither library likes to go. */
    void *module = dlopen(search->found, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    if (!module)
        SL_TRY(no_module(search));
    void *symbol = dlsym(module, SL_WIRE_MODULE_OPEN);
    if (!symbol)
        SL_FAIL(SL_UNAVAILABLE, "%s: no %s in it", search->found, SL_WIRE_MODULE_OPEN);
    sl_wire_module_open_fn *open;
    memcpy(&open, &symbol, sizeof open);
    snprintf(what, sizeof what, "the start of %s, all ranks of it,", search->library->title);
    SL_TRY(sl_timer_deadline(start_limit > 0 ? start_limit : 600, what, &deadline));
    SL_TRY(open(&host, wire));
out:
    sl_timer_close(deadline);
    return rc;
}

int sl_wire_load(const char *name, double start_limit, struct sl_wire *wire)
{
    int rc = SL_OK;
    struct search *search = calloc(1, sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for a wire");
    if (!(search->library = find_library(name)))
        SL_FAIL(SL_BAD_CONFIG, "no wire is called %s", name);
    if ((rc = find_module(search)) != SL_OK) {
        sl_fail_prefix(rc, "%s is what this process was launched with", search->library->title);
        goto out;
    }
    SL_TRY(open_module(search, start_limit, wire));
out:
    free(search);
    return rc;
}

/* ---- telling ---- */

const char *sl_wire_name(size_t index)
{
    return index < sizeof libraries / sizeof *libraries ? libraries[index].name : NULL;
}

int sl_wire_look(const char *name, char *path, size_t bytes)
{
    int rc = SL_OK;
    struct search *search = calloc(1, sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for a wire");
    if (!(search->library = find_library(name)))
        SL_FAIL(SL_BAD_CONFIG, "no wire is called %s", name);
    SL_TRY(find_module(search));
    if (!dlopen(search->found, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE))
        SL_TRY(no_module(search));
    snprintf(path, bytes, "%s", search->found);
out:
    free(search);
    return rc;
}
