/* Choosing a row and making it ready: whose rows, which elements, how often a state is opened and closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"

static int opened, closed, ran;
static int64_t sizes; /* of the states that runs have seen */

static bool need_state(const void *shape, struct sl_need *need)
{
    need->state = sizeof(int64_t);
    return sl_flat_need(shape, need);
}

static int refuse(const void *shape, const struct sl_device *device, void *state)
{
    (void)shape, (void)device, (void)state;
    return sl_fail(SL_UNAVAILABLE, "not today");
}

static int open_state(const void *shape, const struct sl_device *device, void *state)
{
    (void)device;
    *(int64_t *)state = ((const struct sl_flat *)shape)->n;
    opened++;
    return SL_OK;
}

static void close_state(void *state)
{
    assert_true(*(int64_t *)state > 0);
    closed++;
}

static void run(const void *shape, const void *args, const struct sl_work *work)
{
    (void)args;
    assert_int_equal(*(const int64_t *)work->state, ((const struct sl_flat *)shape)->n);
    sizes += *(const int64_t *)work->state;
    ran++;
}

static const struct sl_kernel refusing = {.need = need_state, .open = refuse, .run = run};
static const struct sl_kernel counting = {.need = need_state, .open = open_state, .close = close_state, .run = run};
static const struct sl_kernel_row rows[] = {
    {SL_OP_accumulate, "refusing", "refusing", SL_CPU, &refusing},
    {SL_OP_accumulate, "counting", "counting", SL_CPU, &counting},
};

static struct sl_device device;

static int open_device(void **state)
{
    (void)state;
    opened = closed = ran = 0;
    sizes = 0;
    return sl_device_cpu_open(1, &device);
}

static int close_device(void **state)
{
    (void)state;
    device.close(device.self);
    return 0;
}

static void a_row_of_the_processor_is_for_no_other_device(void **state)
{
    (void)state;
    struct sl_choice choice;
    const struct sl_flat shape = {64, SL_ELEMENT_F32};
    device.isa = SL_CUDA;
    assert_int_equal(sl_choose_accumulate(&device, &shape, &choice), SL_UNAVAILABLE);
    assert_non_null(strstr(sl_last_error(), "has no kernel for accumulate"));
    for (size_t r = 0; r < sl_kernel_row_count; r++)
        assert_true(sl_kernel_rows[r].needs & ~(uint32_t)SL_CUDA);
    sl_choice_close(&choice);
}

static void a_row_takes_its_own_element(void **state)
{
    (void)state;
    struct sl_choice choice;
    for (enum sl_element element = SL_ELEMENT_F32; element <= SL_ELEMENT_BF16; element++) {
        const struct sl_flat shape = {64, element};
        assert_int_equal(sl_choose_accumulate(&device, &shape, &choice), SL_OK);
        assert_int_equal(sl_choice_row(&choice)->kernel->element, element);
        sl_choice_close(&choice);
    }
    const struct sl_flat halves = {64, SL_ELEMENT_BF16};
    device.rows = rows; /* of floats */
    device.row_count = 2;
    assert_int_equal(sl_choose_accumulate(&device, &halves, &choice), SL_UNAVAILABLE);
    sl_choice_close(&choice);
}

static void a_row_that_refuses_hands_on_to_the_next(void **state)
{
    (void)state;
    struct sl_choice choice;
    const struct sl_flat shape = {64, SL_ELEMENT_F32};
    device.rows = rows;
    device.row_count = 2;
    assert_int_equal(sl_choose_accumulate(&device, &shape, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, "counting");
    sl_choice_close(&choice);
    sl_choice_close(&choice);
    assert_int_equal(opened, 1);
    assert_int_equal(closed, 1);
    device.row_count = 1;
    assert_int_equal(sl_choose_accumulate(&device, &shape, &choice), SL_UNAVAILABLE);
    sl_choice_close(&choice);
}

/* The shape it was chosen for stays ready, and one more. */
static void two_shapes_are_ready(void **state)
{
    (void)state;
    static const int64_t lengths[] = {64, 32, 64, 32, 32, 48, 64, 48, 32};
    struct sl_choice choice;
    const struct sl_flat first = {64, SL_ELEMENT_F32};
    int64_t sum = 0;
    device.rows = rows;
    device.row_count = 2;
    assert_int_equal(sl_choose_accumulate(&device, &first, &choice), SL_OK);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        const struct sl_flat shape = {lengths[i], SL_ELEMENT_F32};
        const struct sl_accumulate none = {0};
        assert_int_equal(sl_launch_accumulate(&choice, &shape, &none), SL_OK);
        sum += lengths[i];
    }
    assert_int_equal(ran, 9);
    assert_int_equal(sizes, sum);
    assert_int_equal(opened, 4); /* 64, 32, 48, 32 again */
    assert_int_equal(closed, 2);
    sl_choice_close(&choice);
    assert_int_equal(closed, 4);
}

static bool need_whole(const void *shape, struct sl_need *need)
{
    need->units = 2;
    return ((const struct sl_flat *)shape)->n >= 64;
}

static bool need_any(const void *shape, struct sl_need *need)
{
    (void)shape;
    need->units = 5;
    return true;
}

static void run_nothing(const void *shape, const void *args, const struct sl_work *work)
{
    (void)shape, (void)args, (void)work;
}

/* Partial results are as many as the row that ran has made, which need not be the chosen one. */
static void units_are_those_of_the_row_that_runs(void **state)
{
    (void)state;
    static const struct sl_kernel whole = {.need = need_whole, .run = run_nothing};
    static const struct sl_kernel any = {.need = need_any, .run = run_nothing};
    static const struct sl_kernel_row both[] = {
        {SL_OP_accumulate, "whole", "whole", SL_CPU, &whole},
        {SL_OP_accumulate, "any", "any", SL_CPU, &any},
    };
    struct sl_choice choice;
    const struct sl_flat full = {64, SL_ELEMENT_F32}, part = {32, SL_ELEMENT_F32};
    const struct sl_accumulate none = {0};
    device.rows = both;
    device.row_count = 2;
    assert_int_equal(sl_choose_accumulate(&device, &full, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, "whole");
    assert_int_equal(sl_choice_most_records(&choice, &full), 5);
    assert_int_equal(sl_choice_most_records(&choice, &part), 5);
    assert_int_equal(sl_launch_accumulate(&choice, &full, &none), SL_OK);
    assert_int_equal(sl_choice_records(&choice, &full), 2);
    assert_int_equal(sl_launch_accumulate(&choice, &part, &none), SL_OK);
    assert_int_equal(sl_choice_records(&choice, &part), 5);
    assert_int_equal(sl_choice_records(&choice, &full), 2);
    sl_choice_close(&choice);
}

/* ---- wishes ---- */

static const struct sl_kernel transforming = {.inexact = true, .need = need_whole, .run = run_nothing};
static const struct sl_kernel plain = {.need = need_whole, .run = run_nothing};
static const struct sl_kernel last = {.need = need_any, .run = run_nothing};
static const struct sl_kernel_row four[] = {
    {SL_OP_accumulate, "transforming", "transforming", SL_CPU, &transforming},
    {SL_OP_accumulate, "plain", "plain", SL_CPU, &plain},
    {SL_OP_accumulate, "transforming2", "transforming2", SL_CPU, &transforming},
    {SL_OP_accumulate, "last", "last", SL_CPU, &last},
};

static void assert_choice(const struct sl_wish *wish, int64_t n, enum sl_reason reason, const char *row,
                          const char *why)
{
    struct sl_choice choice;
    const struct sl_flat shape = {n, SL_ELEMENT_F32};
    assert_int_equal(sl_choose_as(&device, SL_OP_accumulate, &shape, wish, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, row);
    assert_string_equal(choice.why, why);
    assert_int_equal(choice.reason, reason);
    sl_choice_close(&choice);
}

static void a_wish_counts_where_it_can(void **state)
{
    (void)state;
    const struct sl_wish none = {.quiet = true}, third = {.row = &four[2], .why = "faster", .quiet = true},
                         absent = {.row = &four[1], .why = "faster", .quiet = true};
    device.rows = four;
    device.row_count = 4;
    assert_choice(&none, 64, SL_REASON_FIRST, "transforming", "first in the table");
    assert_choice(&third, 64, SL_REASON_WISHED, "transforming2", "faster");
    assert_choice(&absent, 32, SL_REASON_FIRST, "last", "first in the table"); /* it does not take the shape */
}

static void exact_is_without_rows_that_transform_if_it_can(void **state)
{
    (void)state;
    struct sl_choice choice;
    const struct sl_wish exact = {.among = SL_AMONG_EXACT, .quiet = true};
    const struct sl_flat full = {64, SL_ELEMENT_F32}, part = {32, SL_ELEMENT_F32};
    const struct sl_accumulate args = {0};
    device.rows = four;
    device.row_count = 4;
    assert_choice(&exact, 64, SL_REASON_AMONG, "plain", "exact");
    assert_choice(&exact, 32, SL_REASON_FIRST, "last", "first in the table"); /* nothing else takes it */
    assert_int_equal(sl_choose_as(&device, SL_OP_accumulate, &full, &exact, &choice), SL_OK);
    assert_int_equal(sl_launch_accumulate(&choice, &part, &args), SL_OK);
    assert_string_equal(choice.ready[1].row->name, "last");
    sl_choice_close(&choice);
    device.row_count = 1;
    assert_choice(&exact, 64, SL_REASON_FIRST, "transforming", "first in the table"); /* there is no other */
}

/* ---- a library's rows ---- */

static float packed_by; /* 1: our row packed last, 2: the library's */

static bool need_own(const void *shape, struct sl_need *need)
{
    (void)shape;
    *need = (struct sl_need){.units = 1, .pack_units = 1, .packed = 32, .records = 7};
    return true;
}

static bool need_library(const void *shape, struct sl_need *need)
{
    (void)shape;
    *need = (struct sl_need){.units = 1, .pack_units = 1, .packed = 16, .state = 1, .records = 3};
    return true;
}

/* It has a plan for 64 alone. */
static int open_library(const void *shape, const struct sl_device *of, void *state)
{
    (void)of, (void)state;
    return ((const struct sl_flat *)shape)->n == 64 ? SL_OK : sl_fail(SL_UNAVAILABLE, "no plan");
}

static void pack_own(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    (void)shape, (void)weights, (void)work;
    *(float *)packed = packed_by = 1;
}

static void pack_library(const void *shape, const float *weights, void *packed, const struct sl_work *work)
{
    (void)shape, (void)weights, (void)work;
    *(float *)packed = packed_by = 2;
}

static const struct sl_kernel own_kernel = {.need = need_own, .pack = pack_own, .run = run_nothing};
static const struct sl_kernel library_kernel = {
    .refuses = true, .need = need_library, .open = open_library, .pack = pack_library, .run = run_nothing};
static const struct sl_kernel_row own_and_library[] = {
    {SL_OP_accumulate, "own", "own", SL_CPU, &own_kernel},
    {SL_OP_accumulate, "library", "library", SL_CUDNN, &library_kernel},
};

static void open_library_device(void)
{
    device.rows = own_and_library;
    device.row_count = 2;
    device.isa |= SL_CUDNN;
}

static void a_library_is_wished_for_or_not(void **state)
{
    (void)state;
    const struct sl_wish own = {.among = SL_AMONG_OWN, .quiet = true}, cudnn = {.among = SL_AMONG_CUDNN, .quiet = true};
    struct sl_choice choice;
    const struct sl_flat shape = {64, SL_ELEMENT_F32};
    open_library_device();
    assert_choice(&own, 64, SL_REASON_FIRST, "own", "first in the table");
    assert_choice(&cudnn, 64, SL_REASON_AMONG, "library", "cudnn");
    assert_choice(&cudnn, 32, SL_REASON_FIRST, "own", "first in the table");
    device.rows++; /* the library's alone */
    device.row_count = 1;
    assert_int_equal(sl_choose_as(&device, SL_OP_accumulate, &shape, &own, &choice), SL_UNAVAILABLE);
    sl_choice_close(&choice);
}

/* A batch that it does not take goes to a row before it, which packs the weights anew; and back again. */
static void a_row_that_refuses_a_batch_gives_way(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        float by;
    } batches[] = {{64, 2}, {32, 1}, {32, 1}, {64, 2}, {48, 1}};
    const struct sl_wish cudnn = {.among = SL_AMONG_CUDNN, .quiet = true};
    const struct sl_flat full = {64, SL_ELEMENT_F32}, part = {32, SL_ELEMENT_F32};
    const struct sl_accumulate none = {0};
    const float weights = 5, *ready;
    float packed[8];
    struct sl_choice choice;
    open_library_device();
    assert_int_equal(sl_choose_as(&device, SL_OP_accumulate, &full, &cudnn, &choice), SL_OK);
    assert_int_equal(sl_choice_most_packed(&choice, &full), 32);
    assert_int_equal(sl_choice_most_records(&choice, &part), 7);
    assert_int_equal(sl_launch_pack(&choice, &full, &weights, packed), SL_OK);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        const struct sl_flat shape = {batches[i].n, SL_ELEMENT_F32};
        packed_by = i ? packed_by : 0;
        assert_int_equal(sl_choice_weights(&choice, &shape, &weights, packed, &ready), SL_OK);
        assert_ptr_equal(ready, packed);
        assert_true(packed[0] == batches[i].by);
        assert_true(i > 0 || packed_by == 0); /* what lies there is read, not packed again */
        assert_int_equal(sl_launch_accumulate(&choice, &shape, &none), SL_OK);
    }
    sl_choice_close(&choice);
    /* A row that never refuses needs its own room alone, and takes every batch: it was chosen for want of the other. */
    assert_int_equal(sl_choose_as(&device, SL_OP_accumulate, &part, &cudnn, &choice), SL_OK);
    assert_string_equal(sl_choice_row(&choice)->name, "own");
    assert_int_equal(sl_choice_most_packed(&choice, &part), 32);
    assert_int_equal(sl_launch_accumulate(&choice, &full, &none), SL_OK);
    assert_string_equal(choice.ready[1].row->name, "own");
    sl_choice_close(&choice);
    device.rows = rows; /* these do not pack */
    assert_int_equal(sl_choose_accumulate(&device, &full, &choice), SL_OK);
    assert_int_equal(sl_choice_weights(&choice, &full, &weights, packed, &ready), SL_OK);
    assert_ptr_equal(ready, &weights);
    sl_choice_close(&choice);
}

/* ---- who listens ---- */

struct heard {
    int before, after, packs;
    const struct sl_choice *choice;
};

static void hear_before(void *self)
{
    struct heard *heard = self;
    assert_int_equal(ran, heard->before++);
}

static void hear_after(void *self, const struct sl_choice *choice, const struct sl_kernel_row *row, bool pack)
{
    struct heard *heard = self;
    heard->after++;
    heard->packs += pack;
    assert_ptr_equal(choice, heard->choice);
    assert_ptr_equal(row, &rows[1]);
    assert_int_equal(ran, heard->after);
}

static void a_listener_is_told_of_every_launch(void **state)
{
    (void)state;
    struct sl_choice choice;
    struct heard heard = {.choice = &choice};
    const struct sl_launch_listener listener = {hear_before, hear_after, &heard};
    const struct sl_flat shape = {64, SL_ELEMENT_F32};
    const struct sl_accumulate none = {0};
    device.rows = rows;
    device.row_count = 2;
    assert_int_equal(sl_choose_accumulate(&device, &shape, &choice), SL_OK);
    device.listener = &listener;
    assert_int_equal(sl_launch_accumulate(&choice, &shape, &none), SL_OK);
    assert_int_equal(sl_launch_accumulate(&choice, &shape, &none), SL_OK);
    assert_int_equal(sl_launch_pack(&choice, &shape, NULL, NULL), SL_OK); /* the row packs nothing */
    device.listener = NULL;
    assert_int_equal(sl_launch_accumulate(&choice, &shape, &none), SL_OK);
    assert_int_equal(heard.before, 2);
    assert_int_equal(heard.after, 2);
    assert_int_equal(heard.packs, 0);
    sl_choice_close(&choice);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_device, close_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_row_of_the_processor_is_for_no_other_device),
        CASE(a_row_takes_its_own_element),
        CASE(a_row_that_refuses_hands_on_to_the_next),
        CASE(two_shapes_are_ready),
        CASE(units_are_those_of_the_row_that_runs),
        CASE(a_listener_is_told_of_every_launch),
        CASE(a_wish_counts_where_it_can),
        CASE(exact_is_without_rows_that_transform_if_it_can),
        CASE(a_library_is_wished_for_or_not),
        CASE(a_row_that_refuses_a_batch_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
