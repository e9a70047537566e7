/* The profile of training steps, by a clock that ticks once whenever it is read. */
#include "tests/net.h"

#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/report/profile_report.h"
#include "runtime/train/profile.h"
#include "tests/strict_device.h"

static uint64_t reads;

/* In the place of the library's. */
double sl_clock(void)
{
    return (double)reads++;
}

enum { BATCH = 4, STEPS = 3 };

static int open_net(void **state)
{
    static struct net net;
    net_open(&net, norm_graph(), BATCH, ~0u, 1);
    reads = 0;
    *state = &net;
    return 0;
}

static int close_net(void **state)
{
    net_close(*state);
    return 0;
}

/* Trains, and is profiled while `profile` is there. */
static void train_steps(struct net *net, int32_t count, struct sl_profile *profile)
{
    struct batch batch = make_batch(net->graph, count, 3);
    for (uint64_t i = 0; i < STEPS; i++) {
        sl_profile_begin_step(profile);
        train_on(net, &batch, i);
        sl_profile_end_step(profile, 2.0);
    }
    free_batch(&batch);
}

static void without_a_profile_no_clock_is_read(void **state)
{
    struct net *net = *state;
    struct sl_profile *profile;
    train_steps(net, BATCH, NULL);
    assert_int_equal(reads, 0);
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    train_steps(net, BATCH, profile);
    assert_true(reads > 0);
    reads = 0;
    train_steps(net, BATCH, NULL);
    assert_int_equal(reads, 0);
    sl_profile_close(profile);
}

/* A launch reads the clock twice, a step once more at each end: so a step is a launch's tick, and a tick between. */
static void kernels_and_the_rest_are_the_step(void **state)
{
    struct net *net = *state;
    struct sl_profile *profile;
    const struct sl_profile_row *rows;
    double kernels = 0.0;
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    train_steps(net, BATCH, profile);
    const struct sl_profile_totals totals = sl_profile_total(profile);
    const size_t count = sl_profile_rows(profile, &rows);
    for (size_t i = 0; i < count; i++)
        kernels += rows[i].seconds;
    assert_int_equal(totals.steps, STEPS);
    assert_true(kernels > 0 && kernels == totals.kernels);
    assert_true(totals.seconds == 2 * kernels + STEPS);
    assert_true(totals.waited == 2.0 * STEPS);
    sl_profile_close(profile);
}

/* Launches in all steps of an operation in a layer; its row is the one that the plan has chosen. */
static double launches_of(const struct net *net, const struct sl_profile *profile, const char *layer, enum sl_op op,
                          bool pack)
{
    double sum = 0.0;
    const struct sl_profile_row *rows;
    const struct sl_plan_choice *choices;
    const size_t count = sl_profile_rows(profile, &rows), chosen = sl_plan_choices(net->plan, &choices);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].layer, layer) || rows[i].kernel->op != op || rows[i].pack != pack)
            continue;
        sum += rows[i].seconds;
        for (size_t c = 0; c < chosen; c++)
            if (!strcmp(choices[c].layer, layer) && choices[c].choice->op == op)
                assert_ptr_equal(rows[i].kernel, sl_choice_row(choices[c].choice));
    }
    return sum;
}

static void a_row_is_a_kernel_in_a_layer(void **state)
{
    struct net *net = *state;
    struct sl_profile *profile;
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    train_steps(net, BATCH, profile);
    assert_true(launches_of(net, profile, "conv", SL_OP_conv2d_fwd, false) == STEPS);
    assert_true(launches_of(net, profile, "conv", SL_OP_conv2d_bwd_weights, false) == STEPS);
    assert_true(launches_of(net, profile, "conv", SL_OP_conv2d_bwd_data, false) == 0); /* nobody wants it */
    assert_true(launches_of(net, profile, "classes", SL_OP_conv2d_bwd_data, false) == STEPS);
    assert_true(launches_of(net, profile, "norm", SL_OP_norm_commit, false) == STEPS);
    assert_true(launches_of(net, profile, "", SL_OP_judge, false) == STEPS);
    assert_true(launches_of(net, profile, "", SL_OP_amsgrad_step, false) == 2 * STEPS); /* weights, then vectors */
    sl_profile_close(profile);
}

static void other_batches_add_to_the_same_rows(void **state)
{
    struct net *net = *state;
    struct sl_profile *profile;
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    for (int32_t count = 1; count <= BATCH; count++)
        train_steps(net, count, profile);
    assert_int_equal(sl_profile_total(profile).steps, STEPS * BATCH);
    assert_true(launches_of(net, profile, "conv", SL_OP_conv2d_fwd, false) == STEPS * BATCH);
    sl_profile_close(profile);
}

static void what_finds_no_room_is_the_rest(void **state)
{
    enum { MANY = 4096 };
    static const struct sl_choice others[MANY];
    struct net *net = *state;
    struct sl_profile *profile;
    const struct sl_profile_row *rows;
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    sl_profile_begin_step(profile);
    const struct sl_launch_listener *listener = net->device.listener;
    for (int i = 0; i < MANY; i++) {
        listener->before(listener->self);
        listener->after(listener->self, &others[i], sl_kernel_rows, true);
    }
    sl_profile_end_step(profile, 0.0);
    assert_null(net->device.listener);
    const size_t count = sl_profile_rows(profile, &rows);
    assert_in_range(count, 1, MANY - 1);
    assert_true(sl_profile_total(profile).kernels == (double)count);
    assert_true(sl_profile_total(profile).seconds == 2 * MANY + 1);
    sl_profile_close(profile);
}

static void a_device_that_works_on_is_waited_for(void **state)
{
    (void)state;
    struct net net;
    struct sl_device strict;
    struct sl_profile *profile;
    strict_device_open(1, &strict);
    net_open_on(&net, norm_graph(), BATCH, &strict);
    MUST(sl_profile_open(&net.device, net.plan, &profile));
    train_steps(&net, BATCH, profile);
    assert_true(launches_of(&net, profile, "conv", SL_OP_conv2d_fwd, false) == STEPS);
    sl_profile_close(profile);
    net_close(&net);
}

static void the_table_has_every_row_and_the_sums(void **state)
{
    struct net *net = *state;
    struct sl_profile *profile;
    const struct sl_profile_row *rows;
    char *text = NULL;
    size_t size = 0, lines = 0;
    FILE *to = open_memstream(&text, &size);
    assert_non_null(to);
    MUST(sl_profile_open(&net->device, net->plan, &profile));
    sl_profile_print(profile, to); /* nothing: there was no step */
    assert_int_equal(ftell(to), 0);
    train_steps(net, BATCH, profile);
    sl_profile_print(profile, to);
    fclose(to);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 2 + sl_profile_rows(profile, &rows) + 4);
    assert_non_null(strstr(text, "profile: 3 steps of "));
    assert_non_null(strstr(text, "\nclasses            bias_bwd "));
    assert_non_null(strstr(text, "\n-                  amsgrad_step "));
    const char *waited = strstr(text, "\nsum                waiting for data ");
    assert_non_null(waited);
    assert_non_null(strstr(waited, " 2000.000 "));
    free(text);
    sl_profile_close(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_profile_no_clock_is_read, open_net, close_net),
        cmocka_unit_test_setup_teardown(kernels_and_the_rest_are_the_step, open_net, close_net),
        cmocka_unit_test_setup_teardown(a_row_is_a_kernel_in_a_layer, open_net, close_net),
        cmocka_unit_test_setup_teardown(other_batches_add_to_the_same_rows, open_net, close_net),
        cmocka_unit_test_setup_teardown(what_finds_no_room_is_the_rest, open_net, close_net),
        cmocka_unit_test(a_device_that_works_on_is_waited_for),
        cmocka_unit_test_setup_teardown(the_table_has_every_row_and_the_sums, open_net, close_net),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
