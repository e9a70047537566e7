#include "comm/wire_find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/timer.h"
#include "comm/wire_module.h"
#include "runtime/base/module.h"

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

static int find_module(const struct library *library, struct sl_module_search *search)
{
    char name[64];
    snprintf(name, sizeof name, "wire_%s", library->name);
    if (sl_module_find(name, search))
        return SL_OK;
    return sl_fail(SL_UNAVAILABLE,
                   "Starling's module for %s is not there: looked for %s; build with %s's development package, or set "
                   "SL_MODULE_PATH",
                   library->title, search->looked, library->title);
}

/* ---- loading ---- */

/* `to_use`: for all to see, as Open MPI's components look for its symbols. It stays, since neither library likes to go.
 */
static int load_module(const struct library *library, const char *path, bool to_use, sl_wire_module_open_fn **open)
{
    const int rc = sl_module_load(path, to_use, SL_WIRE_MODULE_OPEN, open);
    return rc == SL_OK ? rc
                       : sl_fail(rc, "%s; is %s (%s) installed?", sl_last_error(), library->title, library->package);
}

static int open_module(const struct library *library, const char *path, double start_limit, struct sl_wire *wire)
{
    int rc = SL_OK;
    char what[64];
    struct sl_timer *deadline = NULL;
    const struct sl_wire_host host = {SL_WIRE_ABI, sl_fail};
    sl_wire_module_open_fn *open;
    SL_TRY(load_module(library, path, true, &open));
    snprintf(what, sizeof what, "the start of %s, all ranks of it,", library->title);
    SL_TRY(sl_timer_deadline(start_limit > 0 ? start_limit : 600, what, &deadline));
    SL_TRY(open(&host, wire));
out:
    sl_timer_close(deadline);
    return rc;
}

int sl_wire_load(const char *name, double start_limit, struct sl_wire *wire)
{
    int rc = SL_OK;
    const struct library *library = find_library(name);
    struct sl_module_search *search = calloc(1, sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for a wire");
    if (!library)
        SL_FAIL(SL_BAD_CONFIG, "no wire is called %s", name);
    if ((rc = find_module(library, search)) != SL_OK) {
        sl_fail_prefix(rc, "%s is what this process was launched with", library->title);
        goto out;
    }
    SL_TRY(open_module(library, search->found, start_limit, wire));
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
    const struct library *library = find_library(name);
    sl_wire_module_open_fn *open;
    struct sl_module_search *search = calloc(1, sizeof *search);
    if (!search)
        SL_FAIL(SL_SYSTEM, "out of memory while looking for a wire");
    if (!library)
        SL_FAIL(SL_BAD_CONFIG, "no wire is called %s", name);
    SL_TRY(find_module(library, search));
    SL_TRY(load_module(library, search->found, false, &open));
    snprintf(path, bytes, "%s", search->found);
out:
    free(search);
    return rc;
}
