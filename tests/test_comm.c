/* Gathering and agreeing between 1, 2, 3 and 8 ranks of one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm/comm.h"
#include "tests/ranks.h"

/* Ranks are threads, where cmocka's assertions may not jump: what is wrong is written here, and looked at afterwards.
 */
static char wrong[512];

#define CHECK(condition)                                                        \
    do {                                                                        \
        if (!(condition))                                                       \
            snprintf(wrong, sizeof wrong, "line %d: %s", __LINE__, #condition); \
    } while (0)

static void run(int size, void (*body)(struct sl_wire *wire, void *self), void *self)
{
    wrong[0] = '\0';
    ranks_run(size, body, self);
    assert_string_equal(wrong, "");
}

static const int sizes[] = {1, 2, 3, 8};

static void for_all_sizes(void (*body)(struct sl_wire *wire, void *self))
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        run(sizes[i], body, NULL);
}

static struct sl_comm *open_comm(struct sl_wire *wire)
{
    struct sl_comm *comm = NULL;
    CHECK(sl_comm_open(wire, &(struct sl_comm_options){0}, &comm) == SL_OK);
    return comm;
}

static void transpose(struct sl_wire *wire, void *self)
{
    (void)self;
    struct sl_comm *comm = open_comm(wire);
    const int rank = sl_comm_group(comm)->rank, size = sl_comm_group(comm)->size;
    int send[RANKS_MOST], receive[RANKS_MOST];
    struct sl_request *request = NULL;
    for (int i = 0; i < size; i++)
        send[i] = 100 * rank + i;
    CHECK(sl_comm_all_to_all(comm, send, receive, sizeof *send, &request) == SL_OK);
    CHECK(sl_comm_wait(comm, &request) == SL_OK && !request);
    for (int i = 0; i < size; i++)
        CHECK(receive[i] == 100 * i + rank);
    CHECK(sl_comm_wait(comm, &request) == SL_OK);
    sl_comm_close(comm, SL_OK);
}

static void each_part_goes_to_its_rank(void **state)
{
    (void)state;
    for_all_sizes(transpose);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_goes_to_its_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
