/* Plans of cuDNN: a graph of one operation; the engines that its heuristics suggest for it; the first of them that will
 * do. */
#include "kernels/cuda/plan_cudnn.h"

static int make_graph(struct sl_cudnn_plan *plan, void *operation, void **graph)
{
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_OPERATIONGRAPH_HANDLE, SL_CUDNN_TYPE_HANDLE, 1, &plan->handle},
        {SL_CUDNN_OPERATIONGRAPH_OPS, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operation},
    };
    return sl_cudnn_plan_make(plan, SL_CUDNN_OPERATIONGRAPH, attributes, 2, "make a graph", graph);
}

/* ---- engines ---- */

/* What an engine says of its numbers. */
static bool may_note(int32_t note, bool tensor_cores)
{
    switch (note) {
    case SL_CUDNN_NOTE_TENSOR_CORE:
        return tensor_cores;
    case SL_CUDNN_NOTE_DOWN_CONVERT_INPUTS:
    case SL_CUDNN_NOTE_REDUCED_PRECISION_REDUCTION:
    case SL_CUDNN_NOTE_FFT:
    case SL_CUDNN_NOTE_NONDETERMINISTIC:
    case SL_CUDNN_NOTE_WINOGRAD:
    case SL_CUDNN_NOTE_WINOGRAD_TILE_4x4:
    case SL_CUDNN_NOTE_WINOGRAD_TILE_6x6:
    case SL_CUDNN_NOTE_WINOGRAD_TILE_13x13:
        return false;
    }
    return true;
}

static bool is_left_out(int64_t engine, uint64_t without)
{
    return engine >= 0 && engine < 64 && (without >> engine & 1u);
}

static bool may_run(void *config, const struct sl_cudnn_terms *terms)
{
    constexpr int ROOM = 32;
    void *engine = nullptr;
    int32_t notes[ROOM];
    int64_t count = 0, one = 0, number = 0;
    bool may =
        sl_cudnn.create_descriptor(SL_CUDNN_ENGINE, &engine) == 0 &&
        sl_cudnn.get_attribute(config, SL_CUDNN_ENGINECFG_ENGINE, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, &engine) ==
            0 &&
        sl_cudnn.get_attribute(engine, SL_CUDNN_ENGINE_GLOBAL_INDEX, SL_CUDNN_TYPE_INT64, 1, &one, &number) == 0 &&
        sl_cudnn.get_attribute(engine, SL_CUDNN_ENGINE_NUMERICAL_NOTE, SL_CUDNN_TYPE_NUMERICAL_NOTE, ROOM, &count,
                               notes) == 0 &&
        !is_left_out(number, terms->without);
    for (int64_t i = 0; may && i < count && i < ROOM; i++)
        may = may_note(notes[i], terms->tensor_cores);
    sl_cudnn_destroy(engine);
    return may;
}

/* Makes a plan of a configuration, if its workspace is not too large. */
static bool make_plan(struct sl_cudnn_plan *plan, void *config, int64_t most)
{
    void *made;
    int64_t count = 0, workspace = 0;
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_EXECUTION_PLAN_HANDLE, SL_CUDNN_TYPE_HANDLE, 1, &plan->handle},
        {SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config},
    };
    if (sl_cudnn_make(SL_CUDNN_EXECUTION_PLAN, attributes, 2, &made) != 0)
        return false;
    if (sl_cudnn.get_attribute(made, SL_CUDNN_EXECUTION_PLAN_WORKSPACE_SIZE, SL_CUDNN_TYPE_INT64, 1, &count,
                               &workspace) != 0 ||
        workspace > most) {
        sl_cudnn_destroy(made);
        return false;
    }
    sl_cudnn_plan_keep(plan, config);
    sl_cudnn_plan_keep(plan, made);
    plan->workspace = workspace;
    return true;
}

constexpr int CONFIGS = 32; /* that are looked at in one mode */

/* The first configuration that will do; it is the plan's then, no more among `configs`. */
static bool try_configs(struct sl_cudnn_plan *plan, void **configs, int64_t count, const struct sl_cudnn_terms *terms)
{
    for (int64_t i = 0; i < count && i < CONFIGS; i++) {
        if (!may_run(configs[i], terms) || !make_plan(plan, configs[i], terms->most))
            continue;
        configs[i] = nullptr;
        return true;
    }
    return false;
}

/* What the heuristics suggest in one mode. */
static bool try_mode(struct sl_cudnn_plan *plan, void *graph, int32_t mode, const struct sl_cudnn_terms *terms)
{
    void *heuristics, *configs[CONFIGS] = {};
    int64_t count = 0;
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_ENGINEHEUR_OPERATION_GRAPH, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph},
        {SL_CUDNN_ENGINEHEUR_MODE, SL_CUDNN_TYPE_HEUR_MODE, 1, &mode},
    };
    int status = sl_cudnn_make(SL_CUDNN_ENGINEHEUR, attributes, 2, &heuristics);
    for (int i = 0; i < CONFIGS && status == 0; i++)
        status = sl_cudnn.create_descriptor(SL_CUDNN_ENGINECFG, &configs[i]);
    if (status == 0)
        status = sl_cudnn.get_attribute(heuristics, SL_CUDNN_ENGINEHEUR_RESULTS, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        CONFIGS, &count, configs);
    const bool found = status == 0 && try_configs(plan, configs, count, terms);
    for (void *config : configs)
        sl_cudnn_destroy(config);
    sl_cudnn_destroy(heuristics);
    return found;
}

/* ---- plans ---- */

static int find_plan(struct sl_cudnn_plan *plan, void *operation, const struct sl_cudnn_terms *terms, const char *what)
{
    static const int32_t modes[] = {SL_CUDNN_HEUR_MODE_A, SL_CUDNN_HEUR_MODE_B, SL_CUDNN_HEUR_MODE_FALLBACK};
    void *graph;
    const int rc = make_graph(plan, operation, &graph);
    if (rc != SL_OK)
        return rc;
    for (const int32_t mode : modes)
        if (try_mode(plan, graph, mode, terms))
            return SL_OK;
    return SL_CUDNN_CANNOT("cuDNN has no engine for %s that works with %.1f MB", what, (double)terms->most / 1e6);
}

int sl_cudnn_plan_open(const struct sl_device *device, const struct sl_cudnn_terms *terms, const char *what,
                       sl_cudnn_operation_fn *make_operation, const void *self, struct sl_cudnn_plan *plan)
{
    int rc;
    void *operation;
    *plan = {};
    SL_TRY(sl_cudnn_hold(device, &plan->handle));
    SL_TRY(make_operation(plan, self, &operation));
    SL_TRY(find_plan(plan, operation, terms, what));
out:
    if (rc != SL_OK)
        sl_cudnn_plan_close(plan);
    return rc;
}

void sl_cudnn_plan_close(struct sl_cudnn_plan *plan)
{
    while (plan->count > 0)
        sl_cudnn_destroy(plan->kept[--plan->count]);
    if (plan->handle)
        sl_cudnn_release(plan->handle);
    *plan = {};
}

int64_t sl_cudnn_most_workspace(const struct sl_device *device)
{
    constexpr uint64_t MOST = 1u << 30, SHARE = 8;
    const uint64_t share = device && device->memory ? device->memory / SHARE : MOST;
    return (int64_t)(share < MOST ? share : MOST);
}

void sl_cudnn_plan_run(const struct sl_cudnn_plan *plan, const void *const *pointers, void *workspace,
                       const struct sl_work *work)
{
    static const int64_t ids[SL_CUDNN_TENSORS] = {1, 2, 3, 4, 5, 6, 7, 8};
    void *pack;
    const struct sl_cudnn_attribute attributes[] = {
        {SL_CUDNN_VARIANT_PACK_UNIQUE_IDS, SL_CUDNN_TYPE_INT64, plan->tensors, ids},
        {SL_CUDNN_VARIANT_PACK_DATA_POINTERS, SL_CUDNN_TYPE_VOID_PTR, plan->tensors, pointers},
        {SL_CUDNN_VARIANT_PACK_WORKSPACE, SL_CUDNN_TYPE_VOID_PTR, 1, &workspace},
    };
    int status = sl_cudnn.set_stream(plan->handle, work->stream);
    if (status == 0)
        status = sl_cudnn_make(SL_CUDNN_VARIANT_PACK, attributes, 3, &pack);
    if (status == 0) {
        status = sl_cudnn.execute(plan->handle, plan->kept[plan->count - 1], pack);
        sl_cudnn_destroy(pack);
    }
    sl_cudnn_note(status);
}
