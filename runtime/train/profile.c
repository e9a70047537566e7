#include "runtime/train/profile.h"

#include <stdlib.h>

#include "runtime/base/clock.h"

struct sl_profile {
    struct sl_device *device;
    const struct sl_plan *plan;
    struct sl_launch_listener listener;
    struct sl_profile_totals totals;
    struct sl_profile_row *rows;
    const struct sl_choice **choices; /* of the rows */
    size_t count, room;
    double step_began, launch_began;
};

static const char *layer_of(const struct sl_profile *profile, const struct sl_choice *choice)
{
    const struct sl_plan_choice *known;
    const size_t count = sl_plan_choices(profile->plan, &known);
    for (size_t i = 0; i < count; i++)
        if (known[i].choice == choice)
            return known[i].layer;
    return "";
}

/* NULL: there is no room. */
static struct sl_profile_row *find_row(struct sl_profile *profile, const struct sl_choice *choice,
                                       const struct sl_kernel_row *kernel, bool pack)
{
    for (size_t i = 0; i < profile->count; i++)
        if (profile->choices[i] == choice && profile->rows[i].kernel == kernel && profile->rows[i].pack == pack)
            return &profile->rows[i];
    if (profile->count == profile->room)
        return NULL;
    profile->choices[profile->count] = choice;
    profile->rows[profile->count] = (struct sl_profile_row){layer_of(profile, choice), kernel, pack, 0.0};
    return &profile->rows[profile->count++];
}

static void before_launch(void *self)
{
    struct sl_profile *profile = self;
    (void)profile->device->sync(profile->device->self); /* its failure comes back from the step's own */
    profile->launch_began = sl_clock();
}

static void after_launch(void *self, const struct sl_choice *choice, const struct sl_kernel_row *kernel, bool pack)
{
    struct sl_profile *profile = self;
    (void)profile->device->sync(profile->device->self);
    const double seconds = sl_clock() - profile->launch_began;
    struct sl_profile_row *row = find_row(profile, choice, kernel, pack);
    if (!row)
        return;
    row->seconds += seconds;
    profile->totals.kernels += seconds;
}

int sl_profile_open(struct sl_device *device, const struct sl_plan *plan, struct sl_profile **profile)
{
    enum { OTHERS = 64 }; /* kernels of the updater and of an exchange, and rows that take a smaller batch instead */
    int rc = SL_OK;
    const struct sl_plan_choice *choices;
    struct sl_profile *p = calloc(1, sizeof *p);
    if (!p)
        SL_FAIL(SL_SYSTEM, "out of memory for a profile");
    *p = (struct sl_profile){.device = device, .plan = plan, .listener = {before_launch, after_launch, p}};
    p->room = 2 * sl_plan_choices(plan, &choices) + OTHERS;
    p->rows = calloc(p->room, sizeof *p->rows);
    p->choices = calloc(p->room, sizeof *p->choices);
    if (!p->rows || !p->choices)
        SL_FAIL(SL_SYSTEM, "out of memory for a profile of %zu kernels", p->room);
    *profile = p;
    p = NULL;
out:
    sl_profile_close(p);
    return rc;
}

void sl_profile_close(struct sl_profile *profile)
{
    if (!profile)
        return;
    free(profile->rows);
    free(profile->choices);
    free(profile);
}

void sl_profile_begin_step(struct sl_profile *profile)
{
    if (!profile)
        return;
    profile->device->listener = &profile->listener;
    profile->step_began = sl_clock();
}

void sl_profile_end_step(struct sl_profile *profile, double waited)
{
    if (!profile)
        return;
    profile->totals.seconds += sl_clock() - profile->step_began;
    profile->totals.waited += waited;
    profile->totals.steps++;
    profile->device->listener = NULL;
}

struct sl_profile_totals sl_profile_total(const struct sl_profile *profile)
{
    return profile->totals;
}

size_t sl_profile_rows(const struct sl_profile *profile, const struct sl_profile_row **rows)
{
    *rows = profile->rows;
    return profile->count;
}
