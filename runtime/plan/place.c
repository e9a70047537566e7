/* Life times and the arena. Stage s runs forward at time s and backward at time 2*stages - 1 - s. */
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "runtime/plan/plan_internal.h"

/* A plan being made. */
struct placing {
    struct sl_planner planner; /* what a layer sees of it; first, so that both have one address */
    struct sl_plan *plan;
    const struct sl_stage *stage; /* the one being planned */
    struct sl_block *blocks;
    void **targets; /* [blocks]: the pointer that gets the address */
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

static int grow(struct placing *placing)
{
    if (placing->count < placing->room)
        return SL_OK;
    const size_t room = placing->room ? 2 * placing->room : 256;
    struct sl_block *blocks = realloc(placing->blocks, room * sizeof *blocks);
    placing->blocks = blocks ? blocks : placing->blocks;
    void **targets = realloc(placing->targets, room * sizeof *targets);
    placing->targets = targets ? targets : placing->targets;
    if (!blocks || !targets)
        return sl_fail(SL_SYSTEM, "out of memory for a plan");
    placing->room = room;
    return SL_OK;
}

/* `at`: a pointer of any type, which is to be set. */
static int add_block(struct placing *placing, void *at, size_t bytes, int32_t first, int32_t last, const char *owner,
                     const char *what)
{
    const size_t most = (size_t)1 << 46; /* so that no sum of blocks overflows */
    if (bytes == 0)
        return SL_OK;
    if (bytes > most)
        return sl_fail(SL_UNAVAILABLE, "layer \"%s\" asks for %zu bytes (%s); use a smaller --batch-size", owner, bytes,
                       what);
    const int rc = grow(placing);
    if (rc != SL_OK)
        return rc;
    placing->blocks[placing->count] = (struct sl_block){bytes, first, last, owner, what, 0};
    placing->targets[placing->count++] = at;
    return SL_OK;
}

static int stage_buffer(struct sl_planner *self, void *at, size_t bytes, enum sl_life life, const char *purpose)
{
    struct placing *placing = (struct placing *)self;
    const int32_t forward = placing->stage->index, backward = backward_time(placing->plan, forward);
    const int32_t first = life == SL_LIFE_PLAN ? 0 : life == SL_LIFE_BACKWARD ? backward : forward;
    const int32_t last = life == SL_LIFE_PLAN ? end_time(placing->plan) : life == SL_LIFE_FORWARD ? forward : backward;
    return add_block(placing, at, bytes, first, last, placing->stage->layer->name, purpose);
}

/* The plan closes the choice, wherever it lies. */
static int remember(struct placing *placing, struct sl_choice *choice)
{
    struct sl_plan *plan = placing->plan;
    struct sl_plan_choice *more = realloc(plan->choices, (plan->choice_count + 1) * sizeof *more);
    if (!more)
        return sl_fail(SL_SYSTEM, "out of memory for a plan");
    plan->choices = more;
    plan->choices[plan->choice_count++] =
        (struct sl_plan_choice){placing->stage ? placing->stage->layer->name : "", choice};
    return SL_OK;
}

static int choose(struct placing *placing, enum sl_op op, const void *shape, struct sl_choice *choice)
{
    int rc = SL_OK;
    struct sl_plan *plan = placing->plan;
    struct sl_wish wish = {0};
    char why[SL_WHY_BYTES];
    SL_TRY(remember(placing, choice));
    if (plan->options.rows)
        sl_selection_wish(plan->options.rows, plan->device, op, shape, plan->options.training, why, &wish);
    SL_TRY(sl_choose_as(plan->device, op, shape, &wish, choice));
    const size_t scratch = sl_choice_need(choice)->scratch;
    plan->scratch_bytes = scratch > plan->scratch_bytes ? scratch : plan->scratch_bytes;
out:
    return rc;
}

static int stage_choose(struct sl_planner *self, enum sl_op op, const void *shape, struct sl_choice *choice)
{
    return choose((struct placing *)self, op, shape, choice);
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

static bool reads_output(const struct sl_stage *stage)
{
    return stage->reads_y || (stage->layer->type->traits & SL_BACKWARD_READS_OUTPUT);
}

/* May the gradient of this value overwrite it? Then both share one block. */
static bool in_place(const struct sl_plan *plan, int32_t producer, const struct uses *uses)
{
    return uses->count == 1 && uses->last_input == 0 &&
           (plan->stages[uses->last_stage].layer->type->traits & SL_BACKWARD_IN_PLACE) &&
           !reads_output(&plan->stages[producer]);
}

/* Backward contributions: the first in backward order writes the gradient itself, the others are added. */
static int place_contributions(struct placing *placing, struct sl_value *value, const struct uses *uses)
{
    struct sl_plan *plan = placing->plan;
    for (int32_t s = 0; s < plan->stage_count; s++)
        for (int32_t k = 0; k < plan->stages[s].input_count; k++) {
            if (plan->stages[s].x[k] != value)
                continue;
            const int32_t time = backward_time(plan, s);
            if (s == uses->last_stage && k == uses->last_input)
                continue;
            plan->adds_to[s][k] = value;
            const int rc = add_block(placing, &plan->stages[s].dx[k], sl_tensor_bytes(&value->shape), time, time,
                                     plan->stages[s].layer->name, "gradient to add");
            if (rc != SL_OK)
                return rc;
        }
    return SL_OK;
}

static int place_value(struct placing *placing, int32_t index)
{
    struct sl_plan *plan = placing->plan;
    struct sl_value *value = &plan->values[index];
    const int32_t producer = plan->producer[index];
    const char *owner = plan->graph->layers[index].name;
    const size_t bytes = sl_tensor_bytes(&value->shape);
    const struct uses uses = uses_of(plan, value);
    int32_t last = uses.count ? uses.last_forward : end_time(plan);
    int rc = SL_OK;
    if (plan->options.training && uses.count) {
        const int32_t own = backward_time(plan, producer);
        last = uses.last_backward > last ? uses.last_backward : last;
        if (reads_output(&plan->stages[producer]))
            last = own;
        const bool shared = in_place(plan, producer, &uses);
        if (shared)
            last = own;
        else
            SL_TRY(
                add_block(placing, &value->grad, bytes, backward_time(plan, uses.last_stage), own, owner, "gradient"));
        SL_TRY(place_contributions(placing, value, &uses));
    }
    SL_TRY(add_block(placing, &value->data, bytes, producer, last, owner, "output"));
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

/* For a plan that is going to lie within this one. */
static int list_kept(struct placing *placing)
{
    struct sl_plan *plan = placing->plan;
    plan->kept = malloc((placing->count + 1) * sizeof *plan->kept);
    if (!plan->kept)
        return sl_fail(SL_SYSTEM, "out of memory for a plan");
    for (size_t i = 0; i < placing->count; i++)
        if (placing->blocks[i].first == 0 && placing->blocks[i].last == end_time(plan))
            plan->kept[plan->kept_count++] = placing->blocks[i];
    return SL_OK;
}

/* Offsets, within the arena of another plan if that is large enough. */
static int place_blocks(struct placing *placing)
{
    struct sl_plan *plan = placing->plan;
    const struct sl_plan *other = plan->options.within;
    int rc = SL_OK;
    if (other && !other->shares) {
        SL_TRY(
            sl_arena_place_beside(other->kept, other->kept_count, placing->blocks, placing->count, &plan->arena_bytes));
        plan->shares = plan->arena_bytes <= other->arena_bytes;
    }
    if (!plan->shares)
        SL_TRY(sl_arena_place(placing->blocks, placing->count, &plan->arena_bytes));
    sl_arena_consumers(placing->blocks, placing->count, plan->largest, sizeof plan->largest);
    SL_TRY(list_kept(placing));
out:
    return rc;
}

static int take_arena(struct sl_plan *plan)
{
    int rc = SL_OK;
    const uint64_t limit = plan->options.memory_limit;
    if (limit && plan->arena_bytes > limit) {
        SL_FAIL(
            SL_UNAVAILABLE,
            "the plan for batches of %d needs %.1f MB and the limit leaves %.1f MB; largest: %s; raise --memory-limit "
            "or lower --batch-size",
            plan->options.batch, (double)plan->arena_bytes / 1e6, (double)limit / 1e6, plan->largest);
    }
    SL_TRY(plan->device->alloc(plan->device->self, plan->arena_bytes, &plan->arena));
out:
    return rc;
}

static void bind_packet(struct sl_plan *plan)
{
    struct sl_plan_buffers *m = &plan->buffers;
    const struct sl_plan_packet packet = sl_plan_packet(plan->options.batch);
    m->now = (struct sl_now *)m->packet;
    m->labels = (int32_t *)(m->packet + packet.labels);
    m->places = (struct sl_image_place *)(m->packet + packet.places);
}

/* Each buffer is cleared on its own, so that its pages lie with the threads that will compute on them. */
static int open_arena(struct placing *placing)
{
    struct sl_plan *plan = placing->plan;
    int rc = SL_OK;
    if (plan->shares)
        plan->arena = plan->options.within->arena; /* a plan to run lies in one to run */
    else
        SL_TRY(take_arena(plan));
    for (size_t i = 0; i < placing->count; i++) {
        void *address = (char *)plan->arena + placing->blocks[i].offset;
        memcpy(placing->targets[i], &address, sizeof address); /* pointers of any type */
        SL_TRY(plan->device->fill(plan->device->self, address, 0, placing->blocks[i].bytes));
    }
    bind_packet(plan);
out:
    return rc;
}

/* Do images come as floats to a device that reads its own memory alone, and have to be rounded there? */
static bool rounds_copies(const struct sl_plan *plan)
{
    return plan->options.precision != SL_ELEMENT_F32 && !plan->device->host_memory;
}

/* What a pass begins and ends with. */
static int place_ends(struct placing *placing)
{
    struct sl_plan *plan = placing->plan;
    struct sl_plan_buffers *m = &plan->buffers;
    const struct sl_tensor *image = &plan->values[0].shape;
    const size_t n = (size_t)plan->options.batch;
    const size_t sums = (size_t)(sl_flat_units(plan->weights->decayed) + sl_flat_units(plan->weights->trained));
    const struct {
        void *at;
        size_t bytes;
        const char *what;
    } wanted[] = {
        {&m->images, sl_tensor_bytes(image), "images"},
        {&m->floats, rounds_copies(plan) ? sl_tensor_elements(image) * sizeof *m->floats : 0, "images as floats"},
        {&m->packet, sl_plan_packet(plan->options.batch).bytes, "scalars, labels and places"},
        {&m->losses, n * sizeof *m->losses, "losses"},
        {&m->sums, plan->options.training ? sums * sizeof *m->sums : 0, "sums of squares"},
    };
    int rc = SL_OK;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        SL_TRY(add_block(placing, wanted[i].at, wanted[i].bytes, 0, end_time(plan), plan->graph->layers[0].name,
                         wanted[i].what));
out:
    return rc;
}

static int choose_operations(struct placing *placing)
{
    const struct sl_plan *plan = placing->plan;
    struct sl_plan_operations *o = &placing->plan->operations;
    const struct sl_tensor *image = &plan->values[0].shape;
    const struct sl_image pixels = {image->h, image->w, image->h, image->w, image->n, image->element};
    const struct sl_flat all = {.n = plan->weights->trained};
    const struct sl_flat floats = {.n = (int64_t)sl_tensor_elements(image)};
    const struct sl_flat gradient = {.n = plan->weights->trained, .element = plan->options.precision};
    const struct sl_judge_shape judge = {.losses = plan->options.batch};
    int rc = SL_OK;
    SL_TRY(choose(placing, SL_OP_accumulate, &gradient, &o->accumulate));
    if (plan->options.precision == SL_ELEMENT_BF16)
        SL_TRY(choose(placing, SL_OP_to_bf16, &floats, &o->to_bf16));
    if (image->c == 3)
        SL_TRY(choose(placing, SL_OP_image_to_float, &pixels, &o->image_to_float));
    SL_TRY(choose(placing, SL_OP_sum_squares, &all, &o->sum_squares));
    SL_TRY(choose(placing, SL_OP_judge, &judge, &o->judge));
out:
    return rc;
}

int sl_plan_place(struct sl_plan *plan)
{
    int rc = SL_OK;
    struct placing placing = {
        .planner = {.training = plan->options.training, .buffer = stage_buffer, .choose = stage_choose},
        .plan = plan,
    };
    SL_TRY(choose_operations(&placing));
    for (int32_t s = 0; s < plan->stage_count; s++) {
        placing.stage = &plan->stages[s];
        SL_TRY(plan->stages[s].layer->type->plan(&plan->stages[s], &placing.planner));
    }
    for (int32_t i = 1; i < plan->graph->layer_count; i++)
        if (plan->producer[i] >= 0)
            SL_TRY(place_value(&placing, i));
    SL_TRY(place_ends(&placing));
    SL_TRY(place_blocks(&placing));
    if (plan->options.dry)
        goto out;
    SL_TRY(open_arena(&placing));
    if (plan->options.training)
        bind_gradients(plan);
out:
    free(placing.blocks);
    free(placing.targets);
    return rc;
}
