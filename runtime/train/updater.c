#include "runtime/train/updater.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/optimizer/optimizer.h"

static const struct {
    const char *name;
    enum sl_op op;
    int32_t slots;
} kinds[] = {
    [SL_UPDATER_AMSGRAD] = {"amsgrad", SL_OP_amsgrad_step, 3},
    [SL_UPDATER_ADAM] = {"adam", SL_OP_adam_step, 2},
    [SL_UPDATER_SGD] = {"sgd", SL_OP_sgd_step, 1},
};

struct sl_updater_options sl_updater_defaults(void)
{
    return (struct sl_updater_options){SL_UPDATER_AMSGRAD, 1e-4, 0.9, 0.9, 0.999, 1e-8};
}

int sl_updater_find(const char *name)
{
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++)
        if (!strcmp(kinds[i].name, name))
            return i;
    return -1;
}

const char *sl_updater_name(enum sl_updater_kind kind)
{
    return kinds[kind].name;
}

int32_t sl_updater_slots(enum sl_updater_kind kind)
{
    return kinds[kind].slots;
}

const char *sl_updater_slot_name(int32_t slot)
{
    static const char *const names[SL_UPDATER_SLOTS] = {"m", "v", "h"};
    return names[slot];
}

int sl_updater_open(struct sl_weights *weights, const struct sl_updater_options *options, struct sl_updater **updater)
{
    int rc = SL_OK;
    const struct sl_device *device = weights->device;
    const size_t bytes = (size_t)weights->trained * sizeof(float);
    const struct sl_optimizer all = {.n = weights->trained};
    const struct sl_flat flat = {.n = weights->trained};
    /* A step launches it on this range and on the rest: both stay ready. */
    const struct sl_optimizer decayed = {.n = weights->decayed ? weights->decayed : weights->trained};
    struct sl_updater *u = calloc(1, sizeof *u);
    if (!u)
        return sl_fail(SL_SYSTEM, "out of memory for the updater");
    *u = (struct sl_updater){.options = *options, .weights = weights, .slots = kinds[options->kind].slots};
    for (int32_t i = 0; i < u->slots; i++) {
        void *memory;
        SL_TRY(device->alloc(device->self, bytes, &memory));
        u->state[i] = memory;
        SL_TRY(device->fill(device->self, memory, 0, bytes));
    }
    SL_TRY(sl_choose(device, kinds[options->kind].op, &decayed, &u->step));
    SL_TRY(sl_choose_subtract(device, &all, &u->subtract));
    SL_TRY(sl_choose_scale(device, &flat, &u->scale));
    *updater = u;
    u = NULL;
out:
    sl_updater_close(u);
    return rc;
}

void sl_updater_close(struct sl_updater *updater)
{
    if (!updater)
        return;
    for (int32_t i = 0; i < updater->slots; i++)
        updater->weights->device->free(updater->weights->device->self, updater->state[i]);
    sl_choice_close(&updater->step);
    sl_choice_close(&updater->subtract);
    sl_choice_close(&updater->scale);
    free(updater);
}

float sl_updater_rate(const struct sl_updater_options *o, double rate, uint64_t iteration)
{
    if (o->kind == SL_UPDATER_SGD)
        return (float)rate;
    const double k = (double)iteration + 1.0;
    const double size = rate * sqrt(1.0 - pow(o->beta2, k)) / (1.0 - pow(o->beta1, k));
    return (float)(isfinite(size) && size != 0.0 ? size : o->epsilon);
}

static int step_all(struct sl_updater *updater, const struct sl_now *now, float *update)
{
    const struct sl_updater_options *o = &updater->options;
    const struct sl_weights *w = updater->weights;
    const struct {
        int64_t begin, end;
        double l2;
    } ranges[] = {{0, w->decayed, o->l2}, {w->decayed, w->trained, 0.0}};
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        const int64_t at = ranges[r].begin;
        const struct sl_optimizer shape = {.n = ranges[r].end - at};
        const struct sl_optimizer_step args = {
            .w = w->values + at,
            .g = w->gradients + at,
            .m = updater->state[0] + at,
            .v = updater->state[1] ? updater->state[1] + at : NULL,
            .h = updater->state[2] ? updater->state[2] + at : NULL,
            .u = update ? update + at : NULL,
            .now = now,
            .momentum = (float)o->momentum,
            .beta1 = (float)o->beta1,
            .beta2 = (float)o->beta2,
            .epsilon = (float)o->epsilon,
            .l2 = (float)ranges[r].l2,
        };
        const int rc = shape.n ? sl_launch(&updater->step, updater->step.op, &shape, &args) : SL_OK;
        if (rc != SL_OK)
            return rc;
    }
    return SL_OK;
}

int sl_updater_step(struct sl_updater *updater, const struct sl_now *now, float *update)
{
    const struct sl_device *device = updater->weights->device;
    sl_range_push(device, "update");
    const int rc = step_all(updater, now, update);
    sl_range_pop(device);
    return rc;
}

int sl_updater_scale_gradients(struct sl_updater *updater, float factor)
{
    const struct sl_flat shape = {.n = updater->weights->trained};
    const struct sl_scale args = {.y = updater->weights->gradients, .factor = factor};
    return sl_launch_scale(&updater->scale, &shape, &args);
}

int sl_updater_subtract(struct sl_updater *updater, const struct sl_now *now, const float *update)
{
    const struct sl_optimizer shape = {.n = updater->weights->trained};
    const struct sl_subtract args = {updater->weights->values, update, now};
    return sl_launch_subtract(&updater->subtract, &shape, &args);
}
