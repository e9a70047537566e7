/* Life times and the arena. Stage s runs forward at time s and backward at time 2*stages - 1 - s. */
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan_internal.h"

struct sl_planner {
    struct sl_plan *plan;
    const struct sl_stage *stage; /* the one being planned */
    struct sl_block *blocks;
    float ***targets; /* [blocks]: who gets the address */
    size_t count, room;
};

static int32_t backward_time(const struct sl_plan *plan, int32_t stage)
{
    return 2 * plan->stage_count - 1 - stage;
}

static int32_t end_time(const struct sl_plan *plan)
{
    return 2 * plan->stage_count;
}

static int grow(struct sl_planner *planner)
{
    if (planner->count < planner->room)
        return SL_OK;
    const size_t room = planner->room ? 2 * planner->room : 256;
    struct sl_block *blocks = realloc(planner->blocks, room * sizeof *blocks);
    planner->blocks = blocks ? blocks : planner->blocks;
    float ***targets = realloc(planner->targets, room * sizeof *targets);
    planner->targets = targets ? targets : planner->targets;
    if (!blocks || !targets)
        return sl_fail(SL_SYSTEM, "out of memory for a plan");
    planner->room = room;
    return SL_OK;
}

static int add_block(struct sl_planner *planner, float **at, size_t floats, int32_t first, int32_t last,
                     const char *owner, const char *what)
{
    const size_t most = (size_t)1 << 44; /* so that no sum of blocks overflows */
    if (floats == 0)
        return SL_OK;
    if (floats > most)
        return sl_fail(SL_UNAVAILABLE, "layer \"%s\" asks for %zu floats (%s); use a smaller --batch-size", owner,
                       floats, what);
    const int rc = grow(planner);
    if (rc != SL_OK)
        return rc;
    planner->blocks[planner->count] = (struct sl_block){floats * sizeof(float), first, last, owner, what, 0};
    planner->targets[planner->count++] = at;
    return SL_OK;
}

int sl_planner_buffer(struct sl_planner *planner, float **at, size_t floats, enum sl_life life, const char *purpose)
{
    const int32_t forward = planner->stage->index, backward = backward_time(planner->plan, forward);
    const int32_t first = life == SL_LIFE_PLAN ? 0 : life == SL_LIFE_BACKWARD ? backward : forward;
    const int32_t last = life == SL_LIFE_PLAN ? end_time(planner->plan) : life == SL_LIFE_FORWARD ? forward : backward;
    return add_block(planner, at, floats, first, last, planner->stage->layer->name, purpose);
}

const struct sl_kernel *sl_planner_pick(struct sl_planner *planner, enum sl_op op, const void *shape)
{
    struct sl_plan *plan = planner->plan;
    const struct sl_kernel *kernel = sl_pick(op, shape, plan->device->isa)->kernel;
    const size_t scratch = sl_kernel_scratch(kernel, shape);
    plan->scratch_bytes = scratch > plan->scratch_bytes ? scratch : plan->scratch_bytes;
    return kernel;
}

bool sl_planner_training(const struct sl_planner *planner)
{
    return planner->plan->options.training;
}

/* Who reads a value, and when for the last time. */
struct uses {
    int32_t last_forward, last_backward; /* -1: never */
    int32_t count;
    int32_t last_stage, last_input; /* the first to contribute a gradient */
};

static struct uses uses_of(const struct sl_plan *plan, const struct sl_value *value)
{
    struct uses uses = {-1, -1, 0, -1, -1};
    for (int32_t s = 0; s < plan->stage_count; s++)
        for (int32_t k = 0; k < plan->stages[s].input_count; k++) {
            if (plan->stages[s].x[k] != value)
                continue;
            uses.count++;
            uses.last_forward = s;
            if (uses.last_stage != s)
                uses.last_input = k;
            uses.last_stage = s;
            if ((plan->stages[s].layer->type->traits & SL_BACKWARD_READS_INPUT) && uses.last_backward < 0)
                uses.last_backward = backward_time(plan, s);
        }
    return uses;
}

/* May the gradient of this value overwrite it? Then both share one block. */
static bool in_place(const struct sl_plan *plan, int32_t producer, const struct uses *uses)
{
    return uses->count == 1 && uses->last_input == 0 &&
           (plan->stages[uses->last_stage].layer->type->traits & SL_BACKWARD_IN_PLACE) &&
           !(plan->stages[producer].layer->type->traits & SL_BACKWARD_READS_OUTPUT);
}

/* Backward contributions: the first in backward order writes the gradient itself, the others are added. */
static int place_contributions(struct sl_planner *planner, struct sl_value *value, const struct uses *uses)
{
    struct sl_plan *plan = planner->plan;
    for (int32_t s = 0; s < plan->stage_count; s++)
        for (int32_t k = 0; k < plan->stages[s].input_count; k++) {
            if (plan->stages[s].x[k] != value)
                continue;
            const int32_t time = backward_time(plan, s);
            if (s == uses->last_stage && k == uses->last_input)
                continue;
            plan->adds_to[s][k] = value;
            const int rc = add_block(planner, &plan->stages[s].dx[k], sl_tensor_floats(&value->shape), time, time,
                                     plan->stages[s].layer->name, "gradient to add");
            if (rc != SL_OK)
                return rc;
        }
    return SL_OK;
}

static int place_value(struct sl_planner *planner, int32_t index)
{
    struct sl_plan *plan = planner->plan;
    struct sl_value *value = &plan->values[index];
    const int32_t producer = plan->producer[index];
    const char *owner = plan->graph->layers[index].name;
    const size_t floats = sl_tensor_floats(&value->shape);
    const struct uses uses = uses_of(plan, value);
    int32_t last = uses.count ? uses.last_forward : end_time(plan);
    int rc = SL_OK;
    if (plan->options.training && uses.count) {
        const int32_t own = backward_time(plan, producer);
        last = uses.last_backward > last ? uses.last_backward : last;
        if (plan->stages[producer].layer->type->traits & SL_BACKWARD_READS_OUTPUT)
            last = own;
        const bool shared = in_place(plan, producer, &uses);
        if (shared)
            last = own;
        else
            SL_TRY(
                add_block(planner, &value->grad, floats, backward_time(plan, uses.last_stage), own, owner, "gradient"));
        SL_TRY(place_contributions(planner, value, &uses));
    }
    SL_TRY(add_block(planner, &value->data, floats, producer, last, owner, "output"));
out:
    return rc;
}

/* After the arena is there: gradients in place, and where each stage writes its own. */
static void bind_gradients(struct sl_plan *plan)
{
    for (int32_t i = 1; i < plan->graph->layer_count; i++) {
        struct sl_value *value = &plan->values[i];
        if (plan->producer[i] < 0)
            continue;
        const struct uses uses = uses_of(plan, value);
        if (uses.count == 0)
            continue;
        if (in_place(plan, plan->producer[i], &uses))
            value->grad = value->data;
        plan->stages[uses.last_stage].dx[uses.last_input] = value->grad;
    }
}

static void measure(const struct sl_planner *planner, struct sl_plan_memory *memory)
{
    const struct sl_plan *plan = planner->plan;
    memory->arena = plan->arena_bytes;
    memory->scratch = sl_parallel_scratch(plan->device, plan->scratch_bytes);
    sl_arena_consumers(planner->blocks, planner->count, memory->largest, sizeof memory->largest);
}

static int open_arena(struct sl_planner *planner)
{
    struct sl_plan *plan = planner->plan;
    int rc = SL_OK;
    const uint64_t limit = plan->options.memory_limit;
    if (limit && plan->arena_bytes > limit) {
        char consumers[512];
        sl_arena_consumers(planner->blocks, planner->count, consumers, sizeof consumers);
        SL_FAIL(
            SL_UNAVAILABLE,
            "the plan for batches of %d needs %.1f MB and the limit leaves %.1f MB; largest: %s; raise --memory-limit "
            "or lower --batch-size",
            plan->options.batch, (double)plan->arena_bytes / 1e6, (double)limit / 1e6, consumers);
    }
    SL_TRY(plan->device->alloc(plan->device->self, plan->arena_bytes, &plan->arena));
    SL_TRY(plan->device->fill(plan->device->self, plan->arena, 0, plan->arena_bytes));
    for (size_t i = 0; i < planner->count; i++)
        *planner->targets[i] = (float *)((char *)plan->arena + planner->blocks[i].offset);
out:
    return rc;
}

int sl_plan_place(struct sl_plan *plan, struct sl_plan_memory *memory)
{
    int rc = SL_OK;
    struct sl_planner planner = {.plan = plan};
    for (int32_t s = 0; s < plan->stage_count; s++) {
        planner.stage = &plan->stages[s];
        SL_TRY(plan->stages[s].layer->type->plan(&plan->stages[s], &planner));
    }
    for (int32_t i = 1; i < plan->graph->layer_count; i++)
        if (plan->producer[i] >= 0)
            SL_TRY(place_value(&planner, i));
    SL_TRY(sl_arena_place(planner.blocks, planner.count, &plan->arena_bytes));
    if (memory) {
        measure(&planner, memory);
        goto out;
    }
    SL_TRY(open_arena(&planner));
    if (plan->options.training)
        bind_gradients(plan);
out:
    free(planner.blocks);
    free(planner.targets);
    return rc;
}
