/* Rows race in sets: a plan where each operation has its second row, one where each has its third, and so on. An
 * operation with fewer rows runs its first again. Two rounds, so that what happens to the machine in between meets all.
 */
#include "runtime/plan/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/philox.h"
#include "runtime/base/clock.h"
#include "runtime/plan/trial_internal.h"

enum { ROUNDS = 2 };

/* Passes of a set in each round; the first warms up and does not count. */
static const int passes_of[ROUNDS] = {2, 3};

/* It takes as long as so many passes of the table's first rows, if that is more than the caller's seconds: large
 * batches and busy machines want it. But not for ever. */
static const double PASSES = 25, MOST_SECONDS = 60;

struct race {
    const struct sl_measure_options *options;
    const struct sl_selection *known;
    struct sl_device device; /* with our listener */
    struct sl_launch_listener listener;
    struct sl_trial *trials;
    size_t count;
    int sets;
    struct sl_weights *weights;
    float *images;
    int32_t *labels;
    uint64_t arena_limit; /* 0: none */
    bool passed;          /* there was a pass */
    double began, end, launch_began;
};

/* ---- who takes part ---- */

static bool is_known(const struct race *race, const struct sl_trial *trial)
{
    const struct sl_selected *selected = sl_selection_find(race->known, trial->key);
    for (int i = 0; selected && i < trial->count; i++)
        if (!strcmp(trial->rows[i]->name, selected->row))
            return true;
    for (size_t i = 0; i < race->count; i++)
        if (!strcmp(race->trials[i].key, trial->key))
            return true;
    return false;
}

static void add_trial(struct race *race, const struct sl_choice *choice)
{
    struct sl_trial *trial = &race->trials[race->count];
    sl_trial_open(choice, race->options->training, trial);
    if (trial->count < 2 || choice->reason == SL_REASON_FORCED || is_known(race, trial))
        return;
    race->sets = trial->count > race->sets ? trial->count : race->sets;
    race->count++;
}

static struct sl_plan_options plan_options(const struct race *race, const struct sl_selection *rows)
{
    return (struct sl_plan_options){.batch = race->options->batch,
                                    .training = race->options->training,
                                    .precision = race->options->precision,
                                    .memory_limit = race->arena_limit,
                                    .rows = rows};
}

/* From a plan that is not run. */
static int list_trials(struct race *race)
{
    int rc = SL_OK;
    struct sl_weights *sizes = NULL;
    struct sl_plan *plan = NULL;
    const struct sl_selection quiet = {.quiet = true};
    struct sl_plan_options options = plan_options(race, &quiet);
    const struct sl_plan_choice *choices;
    options.dry = true;
    SL_TRY(sl_weights_lay_out(race->options->graph, &race->device, &sizes));
    SL_TRY(sl_plan_open(race->options->graph, sizes, &options, &plan));
    const size_t count = sl_plan_choices(plan, &choices);
    if (!(race->trials = calloc(count + 1, sizeof *race->trials)))
        SL_FAIL(SL_SYSTEM, "out of memory for measuring kernels");
    for (size_t i = 0; i < count; i++)
        add_trial(race, choices[i].choice);
out:
    sl_plan_close(plan);
    sl_weights_close(sizes);
    return rc;
}

/* ---- passes ---- */

static void before_launch(void *self)
{
    struct race *race = self;
    (void)race->device.sync(race->device.self); /* its failure comes back from the pass's own */
    race->launch_began = sl_clock();
}

static void after_launch(void *self, const struct sl_choice *choice, const struct sl_kernel_row *row, bool pack)
{
    struct race *race = self;
    (void)race->device.sync(race->device.self);
    const double seconds = sl_clock() - race->launch_began;
    (void)pack;
    for (size_t t = 0; t < race->count; t++)
        sl_trial_add(&race->trials[t], choice, row, seconds);
}

static int run_pass(struct race *race, struct sl_plan *plan)
{
    int rc = SL_OK;
    const bool training = race->options->training;
    const struct sl_plan_input input = {
        .images = race->images, .labels = training ? race->labels : NULL, .count = race->options->batch};
    for (size_t t = 0; t < race->count; t++)
        sl_trial_begin_pass(&race->trials[t]);
    race->device.listener = &race->listener;
    SL_TRY(sl_plan_forward(plan, &input));
    if (training)
        SL_TRY(sl_plan_backward(plan, NULL));
    SL_TRY(race->device.sync(race->device.self));
    race->passed = true;
out:
    race->device.listener = NULL;
    return rc;
}

/* The first pass of all. */
static void stretch(struct race *race)
{
    const double wanted = fmin(PASSES * (sl_clock() - race->began), MOST_SECONDS);
    race->end = fmax(race->end, race->began + wanted);
}

static bool late(const struct race *race)
{
    return sl_clock() >= race->end;
}

/* What is known, and the rows of this set. */
static int select_set(const struct race *race, int set, struct sl_selection *rows)
{
    int rc = SL_OK;
    *rows = (struct sl_selection){.quiet = true};
    for (size_t i = 0; i < race->known->count; i++)
        SL_TRY(sl_selection_put(rows, &race->known->list[i]));
    for (size_t t = 0; t < race->count; t++) {
        const struct sl_trial *trial = &race->trials[t];
        struct sl_selected selected = {.source = SL_SOURCE_MEASURED};
        strcpy(selected.key, trial->key);
        snprintf(selected.row, sizeof selected.row, "%s", trial->rows[set < trial->count ? set : 0]->name);
        SL_TRY(sl_selection_put(rows, &selected));
    }
out:
    return rc;
}

static int run_set(struct race *race, int set, int passes)
{
    int rc = SL_OK;
    struct sl_selection rows = {0};
    struct sl_plan *plan = NULL;
    SL_TRY(select_set(race, set, &rows));
    const struct sl_plan_options options = plan_options(race, &rows);
    rc = sl_plan_open(race->options->graph, race->weights, &options, &plan);
    if (rc == SL_UNAVAILABLE) { /* it wants more memory than there is: then it is not for this run */
        rc = SL_OK;
        goto out;
    }
    SL_TRY(rc);
    if (!race->options->training)
        SL_TRY(sl_plan_prepare(plan));
    for (int pass = 0; pass < passes && !late(race); pass++) {
        const bool first = !race->passed;
        race->began = first ? sl_clock() : race->began;
        SL_TRY(run_pass(race, plan));
        if (first)
            stretch(race);
        for (size_t t = 0; pass > 0 && t < race->count; t++)
            sl_trial_end_pass(&race->trials[t]);
    }
out:
    sl_plan_close(plan);
    sl_selection_close(&rows);
    return rc;
}

static bool is_promising(const struct race *race, int set)
{
    bool promising = set == 0;
    for (size_t t = 0; t < race->count; t++)
        promising |= sl_trial_is_near(&race->trials[t], set);
    return promising;
}

/* ---- the race ---- */

/* What the memory limit leaves for an arena. */
static bool count_memory(struct race *race)
{
    const struct sl_measure_options *o = race->options;
    const struct sl_weights *w = race->weights;
    const uint64_t images = (uint64_t)o->batch * sl_tensor_elements(&o->graph->layers[0].shape);
    const uint64_t taken = sizeof(float) * (2 * (uint64_t)w->trained + (uint64_t)w->state + images);
    race->arena_limit = o->memory_limit ? o->memory_limit - taken : 0;
    return !o->memory_limit || o->memory_limit > taken;
}

/* Numbers like those of images, and every class. */
static int invent_batch(struct race *race)
{
    const struct sl_graph *graph = race->options->graph;
    const size_t count = (size_t)race->options->batch;
    const size_t floats = count * sl_tensor_elements(&graph->layers[0].shape);
    race->images = malloc(floats * sizeof *race->images);
    race->labels = malloc(count * sizeof *race->labels);
    if (!race->images || !race->labels)
        return sl_fail(SL_SYSTEM, "out of memory for measuring kernels");
    for (size_t i = 0; i < floats; i++)
        race->images[i] = sl_uniform(sl_philox4x32(1, 0, i).word[0]);
    for (size_t i = 0; i < count; i++)
        race->labels[i] = (int32_t)(i % (size_t)sl_graph_classes(graph));
    return SL_OK;
}

static int run_race(struct race *race)
{
    int rc = SL_OK;
    const struct sl_measure_options *o = race->options;
    sl_tell(o->say, o->self, "measuring which kernels are fastest for %s, batch %d, in the time of %.0f steps",
            o->training ? "training" : "inference", o->batch, PASSES);
    SL_TRY(sl_weights_open(o->graph, &race->device, o->training, &race->weights));
    SL_TRY(sl_weights_init(race->weights, 1));
    if (!count_memory(race))
        goto out;
    SL_TRY(invent_batch(race));
    race->end = sl_clock() + o->seconds;
    for (int round = 0; round < ROUNDS; round++)
        for (int set = 0; set < race->sets; set++)
            if (!late(race) && (round == 0 || is_promising(race, set)))
                SL_TRY(run_set(race, set, passes_of[round]));
out:
    return rc;
}

/* ---- the result ---- */

static int take_results(const struct race *race, struct sl_selection *rows)
{
    int rc = SL_OK;
    const struct sl_measure_options *o = race->options;
    bool missing = false;
    for (size_t t = 0; t < race->count; t++) {
        struct sl_selected selected;
        const bool found = race->passed && sl_trial_result(&race->trials[t], &selected);
        missing |= !found;
        if (found)
            SL_TRY(sl_selection_put(rows, &selected));
    }
    if (missing)
        sl_tell(o->say, o->self, "time or memory did not suffice to measure all kernels: the rest is as shipped");
out:
    return rc;
}

int sl_measure_rows(const struct sl_measure_options *options, struct sl_selection *rows)
{
    int rc = SL_OK;
    struct race race = {.options = options, .known = rows, .device = *options->device};
    race.listener = (struct sl_launch_listener){before_launch, after_launch, &race};
    race.device.listener = NULL;
    SL_TRY(list_trials(&race));
    if (race.count == 0)
        goto out;
    SL_TRY(run_race(&race));
    SL_TRY(take_results(&race, rows));
out:
    free(race.trials);
    free(race.images);
    free(race.labels);
    sl_weights_close(race.weights);
    return rc;
}
