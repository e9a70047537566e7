/* Plans of cuDNN: an operation graph of one convolution; the engines that its heuristics suggest for it; the first of
 * them that may be used. */
#include "kernels/cuda/plan_cudnn.h"

#include "kernels/cuda/cudnn.h"

struct attribute {
    int name, type;
    int64_t count;
    const void *values;
};

/* The tensors' names within a graph. */
constexpr int64_t IDS[] = {1, 2, 3}; /* x, w, y */

/* ---- descriptors ---- */

static void destroy(void *descriptor)
{
    if (descriptor)
        sl_cudnn.destroy_descriptor(descriptor);
}

/* A status of cuDNN. */
static int make(int type, const struct attribute *attributes, int count, void **descriptor)
{
    *descriptor = nullptr;
    int status = sl_cudnn.create_descriptor(type, descriptor);
    if (status != 0) {
        *descriptor = nullptr;
        return status;
    }
    for (int i = 0; i < count && status == 0; i++)
        status = sl_cudnn.set_attribute(*descriptor, attributes[i].name, attributes[i].type, attributes[i].count,
                                        attributes[i].values);
    if (status == 0)
        status = sl_cudnn.finalize(*descriptor);
    if (status != 0) {
        destroy(*descriptor);
        *descriptor = nullptr;
    }
    return status;
}

static void keep(struct sl_cudnn_plan *plan, void *descriptor)
{
    plan->kept[plan->count++] = descriptor;
}

/* Makes a descriptor that lives as long as the plan. */
template <int COUNT>
static int make_kept(struct sl_cudnn_plan *plan, int type, const struct attribute (&attributes)[COUNT],
                     const char *what, void **descriptor)
{
    const int rc = sl_cudnn_check(make(type, attributes, COUNT, descriptor), what);
    if (rc == SL_OK)
        keep(plan, *descriptor);
    return rc;
}

/* ---- the graph ---- */

static int make_tensor(struct sl_cudnn_plan *plan, const struct sl_cudnn_tensor *t, const int64_t *id, void **tensor)
{
    const int32_t type = t->element == SL_ELEMENT_BF16 ? SL_CUDNN_DATA_BFLOAT16 : SL_CUDNN_DATA_FLOAT;
    const int64_t bytes = (int64_t)sl_element_bytes(t->element), whole = t->n * t->h * t->w * t->c * bytes;
    const int64_t alignment = whole % 16 == 0 ? 16 : bytes, lengths[] = {t->n, t->c, t->h, t->w},
                  strides[] = {t->h * t->w * t->c, 1, t->w * t->c, t->c};
    const struct attribute attributes[] = {
        {SL_CUDNN_TENSOR_DATA_TYPE, SL_CUDNN_TYPE_DATA_TYPE, 1, &type},
        {SL_CUDNN_TENSOR_DIMENSIONS, SL_CUDNN_TYPE_INT64, 4, lengths},
        {SL_CUDNN_TENSOR_STRIDES, SL_CUDNN_TYPE_INT64, 4, strides},
        {SL_CUDNN_TENSOR_UNIQUE_ID, SL_CUDNN_TYPE_INT64, 1, id},
        {SL_CUDNN_TENSOR_BYTE_ALIGNMENT, SL_CUDNN_TYPE_INT64, 1, &alignment},
    };
    return make_kept(plan, SL_CUDNN_TENSOR, attributes, "describe a tensor", tensor);
}

static int make_window(struct sl_cudnn_plan *plan, const struct sl_cudnn_convolution *c, void **window)
{
    const int32_t type = SL_CUDNN_DATA_FLOAT, mode = SL_CUDNN_CROSS_CORRELATION;
    const int64_t axes = 2, dilations[] = {1, 1};
    const struct attribute attributes[] = {
        {SL_CUDNN_CONVOLUTION_COMP_TYPE, SL_CUDNN_TYPE_DATA_TYPE, 1, &type},
        {SL_CUDNN_CONVOLUTION_CONV_MODE, SL_CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
        {SL_CUDNN_CONVOLUTION_SPATIAL_DIMS, SL_CUDNN_TYPE_INT64, 1, &axes},
        {SL_CUDNN_CONVOLUTION_PRE_PADDINGS, SL_CUDNN_TYPE_INT64, 2, c->before},
        {SL_CUDNN_CONVOLUTION_POST_PADDINGS, SL_CUDNN_TYPE_INT64, 2, c->after},
        {SL_CUDNN_CONVOLUTION_FILTER_STRIDES, SL_CUDNN_TYPE_INT64, 2, c->strides},
        {SL_CUDNN_CONVOLUTION_DILATIONS, SL_CUDNN_TYPE_INT64, 2, dilations},
    };
    return make_kept(plan, SL_CUDNN_CONVOLUTION, attributes, "describe a convolution", window);
}

static const struct {
    int type, window, x, w, y, alpha, beta;
} passes[] = {
    {SL_CUDNN_OPERATION_CONVOLUTION_FORWARD, SL_CUDNN_FORWARD_CONV_DESC, SL_CUDNN_FORWARD_X, SL_CUDNN_FORWARD_W,
     SL_CUDNN_FORWARD_Y, SL_CUDNN_FORWARD_ALPHA, SL_CUDNN_FORWARD_BETA},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_DATA, SL_CUDNN_BWD_DATA_CONV_DESC, SL_CUDNN_BWD_DATA_DX,
     SL_CUDNN_BWD_DATA_W, SL_CUDNN_BWD_DATA_DY, SL_CUDNN_BWD_DATA_ALPHA, SL_CUDNN_BWD_DATA_BETA},
    {SL_CUDNN_OPERATION_CONVOLUTION_BACKWARD_FILTER, SL_CUDNN_BWD_FILTER_CONV_DESC, SL_CUDNN_BWD_FILTER_X,
     SL_CUDNN_BWD_FILTER_DW, SL_CUDNN_BWD_FILTER_DY, SL_CUDNN_BWD_FILTER_ALPHA, SL_CUDNN_BWD_FILTER_BETA},
};

static int make_operation(struct sl_cudnn_plan *plan, const struct sl_cudnn_convolution *c, void **operation)
{
    int rc;
    void *x, *w, *y, *window;
    const float one = 1.0f, zero = 0.0f;
    const auto &pass = passes[c->pass];
    const struct attribute attributes[] = {
        {pass.window, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window},
        {pass.x, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
        {pass.w, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w},
        {pass.y, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
        {pass.alpha, SL_CUDNN_TYPE_FLOAT, 1, &one},
        {pass.beta, SL_CUDNN_TYPE_FLOAT, 1, &zero},
    };
    SL_TRY(make_tensor(plan, &c->x, &IDS[0], &x));
    SL_TRY(make_tensor(plan, &c->w, &IDS[1], &w));
    SL_TRY(make_tensor(plan, &c->y, &IDS[2], &y));
    SL_TRY(make_window(plan, c, &window));
    SL_TRY(make_kept(plan, pass.type, attributes, "make an operation of the convolution", operation));
out:
    return rc;
}

static int make_graph(struct sl_cudnn_plan *plan, const struct sl_cudnn_convolution *c, void **graph)
{
    void *operation;
    const int rc = make_operation(plan, c, &operation);
    const struct attribute attributes[] = {
        {SL_CUDNN_OPERATIONGRAPH_HANDLE, SL_CUDNN_TYPE_HANDLE, 1, &plan->handle},
        {SL_CUDNN_OPERATIONGRAPH_OPS, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operation},
    };
    return rc == SL_OK ? make_kept(plan, SL_CUDNN_OPERATIONGRAPH, attributes, "make a graph", graph) : rc;
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

static bool may_run(void *config, bool tensor_cores)
{
    constexpr int ROOM = 32;
    void *engine = nullptr;
    int32_t notes[ROOM];
    int64_t count = 0, engines = 0;
    bool may = sl_cudnn.create_descriptor(SL_CUDNN_ENGINE, &engine) == 0 &&
               sl_cudnn.get_attribute(config, SL_CUDNN_ENGINECFG_ENGINE, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engines,
                                      &engine) == 0 &&
               sl_cudnn.get_attribute(engine, SL_CUDNN_ENGINE_NUMERICAL_NOTE, SL_CUDNN_TYPE_NUMERICAL_NOTE, ROOM,
                                      &count, notes) == 0;
    for (int64_t i = 0; may && i < count && i < ROOM; i++)
        may = may_note(notes[i], tensor_cores);
    destroy(engine);
    return may;
}

/* Makes a plan of a configuration, if it works with `most` bytes. */
static bool make_plan(struct sl_cudnn_plan *plan, void *config, int64_t most)
{
    void *made;
    int64_t count = 0, workspace = 0;
    const struct attribute attributes[] = {
        {SL_CUDNN_EXECUTION_PLAN_HANDLE, SL_CUDNN_TYPE_HANDLE, 1, &plan->handle},
        {SL_CUDNN_EXECUTION_PLAN_ENGINE_CONFIG, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &config},
    };
    if (make(SL_CUDNN_EXECUTION_PLAN, attributes, 2, &made) != 0)
        return false;
    if (sl_cudnn.get_attribute(made, SL_CUDNN_EXECUTION_PLAN_WORKSPACE_SIZE, SL_CUDNN_TYPE_INT64, 1, &count,
                               &workspace) != 0 ||
        workspace > most) {
        destroy(made);
        return false;
    }
    keep(plan, config);
    keep(plan, made);
    plan->workspace = workspace;
    return true;
}

constexpr int CONFIGS = 32; /* that are looked at in one mode */

/* The first configuration that will do; it is the plan's then, no more among `configs`. */
static bool try_configs(struct sl_cudnn_plan *plan, void **configs, int64_t count, bool tensor_cores, int64_t most)
{
    for (int64_t i = 0; i < count && i < CONFIGS; i++) {
        if (!may_run(configs[i], tensor_cores) || !make_plan(plan, configs[i], most))
            continue;
        configs[i] = nullptr;
        return true;
    }
    return false;
}

/* What the heuristics suggest in one mode. */
static bool try_mode(struct sl_cudnn_plan *plan, void *graph, int32_t mode, bool tensor_cores, int64_t most)
{
    void *heuristics, *configs[CONFIGS] = {};
    int64_t count = 0;
    const struct attribute attributes[] = {
        {SL_CUDNN_ENGINEHEUR_OPERATION_GRAPH, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph},
        {SL_CUDNN_ENGINEHEUR_MODE, SL_CUDNN_TYPE_HEUR_MODE, 1, &mode},
    };
    int status = make(SL_CUDNN_ENGINEHEUR, attributes, 2, &heuristics);
    for (int i = 0; i < CONFIGS && status == 0; i++)
        status = sl_cudnn.create_descriptor(SL_CUDNN_ENGINECFG, &configs[i]);
    if (status == 0)
        status = sl_cudnn.get_attribute(heuristics, SL_CUDNN_ENGINEHEUR_RESULTS, SL_CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                        CONFIGS, &count, configs);
    const bool found = status == 0 && try_configs(plan, configs, count, tensor_cores, most);
    for (void *config : configs)
        destroy(config);
    destroy(heuristics);
    return found;
}

/* ---- plans ---- */

int sl_cudnn_plan_open(const struct sl_device *device, const struct sl_cudnn_convolution *convolution, int64_t most,
                       struct sl_cudnn_plan *plan)
{
    static const int32_t modes[] = {SL_CUDNN_HEUR_MODE_A, SL_CUDNN_HEUR_MODE_B, SL_CUDNN_HEUR_MODE_FALLBACK};
    int rc;
    void *graph;
    *plan = {};
    SL_TRY(sl_cudnn_hold(device, &plan->handle));
    SL_TRY(make_graph(plan, convolution, &graph));
    for (const int32_t mode : modes)
        if (try_mode(plan, graph, mode, convolution->tensor_cores, most))
            goto out;
    rc = SL_CUDNN_CANNOT("cuDNN has no engine for the convolution that works with %.1f MB", (double)most / 1e6);
out:
    if (rc != SL_OK)
        sl_cudnn_plan_close(plan);
    return rc;
}

void sl_cudnn_plan_close(struct sl_cudnn_plan *plan)
{
    while (plan->count > 0)
        destroy(plan->kept[--plan->count]);
    if (plan->handle)
        sl_cudnn_release(plan->handle);
    *plan = {};
}

void sl_cudnn_plan_run(const struct sl_cudnn_plan *plan, const void *x, const void *w, const void *y, void *workspace,
                       const struct sl_work *work)
{
    void *pack;
    const void *pointers[] = {x, w, y};
    const struct attribute attributes[] = {
        {SL_CUDNN_VARIANT_PACK_UNIQUE_IDS, SL_CUDNN_TYPE_INT64, 3, IDS},
        {SL_CUDNN_VARIANT_PACK_DATA_POINTERS, SL_CUDNN_TYPE_VOID_PTR, 3, pointers},
        {SL_CUDNN_VARIANT_PACK_WORKSPACE, SL_CUDNN_TYPE_VOID_PTR, 1, &workspace},
    };
    int status = sl_cudnn.set_stream(plan->handle, work->stream);
    if (status == 0)
        status = make(SL_CUDNN_VARIANT_PACK, attributes, 3, &pack);
    if (status == 0) {
        status = sl_cudnn.execute(plan->handle, plan->kept[plan->count - 1], pack);
        destroy(pack);
    }
    sl_cudnn_note(status);
}
