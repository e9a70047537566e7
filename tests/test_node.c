/* Ranks of one host that sum among themselves: the plug-in for NCCL over a fake of it (tests/fake/fake_nccl.c), whose
 * ranks are threads. */
#include <stdlib.h>

#include "comm/node.h"
#include "comm/node_module.h"
#include "runtime/base/module.h"
#include "runtime/device/parallel.h"
#include "tests/fake_node.h"
#include "tests/watched_ranks.h"

enum { N = 1001 };

/* ---- a device with memory of its own, as far as a node can tell ---- */

struct slow {
    struct sl_device cpu;
    int looks; /* until what was started is done */
};

static int slow_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct slow *slow = self;
    slow->looks = 3;
    return slow->cpu.fork(slow->cpu.self, units, scratch_bytes, task, task_self);
}

static int slow_test(void *self, bool *done)
{
    struct slow *slow = self;
    *done = slow->looks == 0;
    slow->looks -= slow->looks > 0;
    return SL_OK;
}

static void slow_open(struct slow *slow, struct sl_device *device)
{
    *slow = (struct slow){0};
    CHECK_OK(sl_device_cpu_open(1, &slow->cpu));
    *device = (struct sl_device){.name = "slow", .self = slow, .fork = slow_fork, .test = slow_test};
}

/* ---- ranks ---- */

/* What the tests of one job share. */
static struct {
    int size;
    char errors[RANKS_MOST][1024];
    double start_limit, step_limit;
} job = {.start_limit = 20, .step_limit = 20};

/* Ranks 0, 2, ... on one host, and 1, 3, ... on another. */
static int two_hosts(void *self, int *numbers)
{
    (void)self;
    for (int i = 0; i < job.size; i++)
        numbers[i] = i % 2;
    return SL_OK;
}

static struct sl_comm *open_comm(struct sl_wire *wire)
{
    return open_within(wire, job.start_limit, job.step_limit);
}

/* A rank with a device that has memory of its own. */
struct member {
    struct sl_comm *comm;
    struct slow slow;
    struct sl_device device;
    struct sl_node node;
};

static int open_member(struct sl_wire *wire, struct member *m)
{
    m->comm = open_comm(wire);
    slow_open(&m->slow, &m->device);
    return sl_node_open(m->comm, &m->device, &m->node);
}

static void close_member(struct member *m, int rc, void (*close)(struct sl_comm *comm, int rc))
{
    CHECK_OK(sl_node_close(m->comm, &m->node, rc));
    m->slow.cpu.close(m->slow.cpu.self);
    close(m->comm, rc);
}

/* The library says it in each thread; the test compares it later. */
static void note_error(int rank)
{
    snprintf(job.errors[rank], sizeof job.errors[rank], "%s", sl_last_error());
}

static void run_with(enum fake_nccl_fault fault, int size, void (*body)(struct sl_wire *wire, void *self), void *self)
{
    *fake_node() = (struct fake_nccl){.fault = fault};
    job.size = size;
    job.start_limit = fault > FAKE_HANG ? 0.7 : 20;
    job.step_limit = fault == FAKE_HANG ? 0.5 : 20;
    memset(job.errors, 0, sizeof job.errors);
    run_watched(size, body, self);
    assert_int_equal(fake_node()->wrong, 0);
}

/* ---- alone ---- */

static void be_alone(struct sl_wire *wire, void *self)
{
    (void)self;
    float x[2] = {1.5f, (float)wire->rank};
    struct sl_comm *comm = open_comm(wire);
    struct sl_device device;
    struct sl_node node;
    CHECK_OK(sl_device_cpu_open(1, &device));
    CHECK_OK(sl_node_open(comm, &device, &node));
    CHECK(strcmp(node.name, "alone") == 0 && node.rank == 0 && node.size == 1);
    CHECK_OK(sl_node_reduce(comm, &node, (struct sl_span){x, 2}));
    CHECK_OK(sl_node_broadcast(comm, &node, (struct sl_span){x, 2}));
    CHECK(x[0] == 1.5f && x[1] == (float)ranks_here);
    CHECK_OK(sl_node_close(comm, &node, SL_OK));
    CHECK_OK(sl_node_close(comm, &node, SL_OK));
    device.close(device.self);
    sl_comm_close(comm, SL_OK);
}

static void test_processors_are_alone(void **state)
{
    (void)state;
    run_ranks(1, be_alone, NULL);
    run_ranks(3, be_alone, NULL);
}

/* One GPU in a world needs no NCCL: none is there. */
static void be_alone_with_memory(struct sl_wire *wire, void *self)
{
    (void)self;
    struct member m;
    CHECK_OK(open_member(wire, &m));
    CHECK(strcmp(m.node.name, "alone") == 0);
    close_member(&m, SL_OK, sl_comm_close);
}

static void test_a_world_of_one(void **state)
{
    (void)state;
    setenv("SL_MODULE_PATH", "/nowhere", 1);
    run_ranks(1, be_alone_with_memory, NULL);
}

/* ---- sums ---- */

/* Another order of these has another sum. */
static float value(int rank, int k, int round)
{
    static const float values[] = {1e8f, 3.25f, -1e8f, 1.0f, 0.125f, 7.0f, -2.0f};
    return values[(rank + k + round) % 7] * (float)(1 + k % 5);
}

/* The ranks of a node are first, first + by, ... */
static void check_round(struct sl_comm *comm, const struct sl_node *node, int by, int n, int round)
{
    float x[N];
    const int rank = ranks_here, first = rank % by;
    for (int k = 0; k < n; k++)
        x[k] = value(rank, k, round);
    CHECK_OK(sl_node_reduce(comm, node, (struct sl_span){x, (size_t)n}));
    for (int k = 0; k < n && node->rank > 0; k++)
        CHECK(x[k] == value(rank, k, round));
    CHECK_OK(sl_node_broadcast(comm, node, (struct sl_span){x, (size_t)n}));
    for (int k = 0; k < n; k++) {
        float sum = value(first, k, round);
        for (int i = 1; i < node->size; i++)
            sum += value(first + i * by, k, round);
        CHECK(x[k] == sum);
    }
}

static void sum_in_rank_order(struct sl_wire *wire, void *self)
{
    const int by = *(const int *)self;
    if (by == 2)
        wire->hosts = two_hosts;
    const int size = (wire->size + by - 1 - wire->rank % by) / by;
    struct member m;
    CHECK_OK(open_member(wire, &m));
    CHECK(m.node.size == size && m.node.rank == ranks_here / by);
    CHECK(strcmp(m.node.name, size > 1 ? "nccl" : "alone") == 0);
    sl_comm_enter(m.comm, SL_PHASE_TRAINING, 1);
    for (int round = 0; round < 10; round++)
        check_round(m.comm, &m.node, by, round % 2 ? N : round, round);
    close_member(&m, SL_OK, sl_comm_close);
}

static void test_sums_and_broadcasts(void **state)
{
    (void)state;
    for (int size = 2; size <= 5; size++) {
        run_with(FAKE_GOOD, size, sum_in_rank_order, &(int){1});
        assert_int_equal(fake_node()->destroyed, size);
        assert_int_equal(fake_node()->aborted, 0);
    }
}

static void test_each_host_is_a_node(void **state)
{
    (void)state;
    run_with(FAKE_GOOD, 5, sum_in_rank_order, &(int){2});
    assert_int_equal(fake_node()->destroyed, 5);
    run_with(FAKE_GOOD, 3, sum_in_rank_order, &(int){2}); /* one of them has a single rank */
    assert_int_equal(fake_node()->destroyed, 2);
    assert_int_equal(seen.ends, 0);
}

/* ---- the plug-in itself ---- */

static int open_plug_in(const char *build, uint32_t abi, struct sl_node_module *module)
{
    struct sl_node_host host = {.abi = abi, .fail = sl_fail};
    struct sl_module_search search;
    sl_node_module_open_fn *open = NULL;
    snprintf(host.build, sizeof host.build, "%s", build);
    assert_true(sl_module_find("nccl", &search));
    assert_int_equal(sl_module_load(search.found, false, SL_NODE_MODULE_OPEN, &open), SL_OK);
    return open(&host, module);
}

#ifndef SL_KERNELS_ABI
#define SL_KERNELS_ABI ""
#endif

static void test_another_build_is_refused(void **state)
{
    (void)state;
    struct sl_node_module module;
    assert_int_equal(open_plug_in("0123", SL_NODE_ABI, &module), SL_UNAVAILABLE);
    assert_in(sl_last_error(), "of another build");
    assert_int_equal(open_plug_in(SL_KERNELS_ABI, SL_NODE_ABI + 1, &module), SL_UNAVAILABLE);
    assert_in(sl_last_error(), "of another build");
}

static void wait_for(const struct sl_node *node)
{
    bool done = false;
    while (!done)
        assert_int_equal(node->test(node->self, &done), SL_OK);
}

/* As the first run on a machine with one card does it. */
static void test_a_communicator_of_one(void **state)
{
    (void)state;
    struct sl_node_module module;
    struct sl_node node;
    struct slow slow;
    struct sl_device device;
    char key[SL_NODE_KEY_BYTES];
    float x[2] = {1.0f, 2.0f};
    *fake_node() = (struct fake_nccl){.fault = FAKE_GOOD};
    slow_open(&slow, &device);
    assert_int_equal(open_plug_in(SL_KERNELS_ABI, SL_NODE_ABI, &module), SL_OK);
    assert_int_equal(module.make_key(key), SL_OK);
    assert_int_equal(module.join(&device, key, 0, 1, &node), SL_OK);
    wait_for(&node);
    assert_int_equal(node.reduce(node.self, (struct sl_span){x, 2}), SL_OK);
    wait_for(&node);
    assert_int_equal(node.broadcast(node.self, (struct sl_span){x, 2}), SL_OK);
    wait_for(&node);
    assert_true(x[0] == 1.0f && x[1] == 2.0f);
    assert_int_equal(node.leave(node.self), SL_OK);
    wait_for(&node);
    node.close(node.self);
    slow.cpu.close(slow.cpu.self);
    assert_int_equal(fake_node()->destroyed, 1);
}

/* ---- skips ---- */

static void open_in_vain(struct sl_wire *wire, void *self)
{
    (void)self;
    struct member m;
    CHECK(open_member(wire, &m) == SL_UNAVAILABLE);
    note_error(ranks_here);
    close_member(&m, SL_OK, sl_comm_close);
}

/* All ranks say the same, and go on without. */
static void test_skips_have_reasons(void **state)
{
    static const struct {
        enum fake_nccl_fault fault;
        const char *modules, *nccl, *rank, *reason;
    } cases[] = {
        {FAKE_GOOD, "/nowhere", NULL, "rank 0 on ", "there is no plug-in for NCCL"},
        {FAKE_GOOD, NULL, "/nowhere/libnccl.so.2", "rank 0 on ", "/nowhere/libnccl.so.2: cannot open"},
        {FAKE_GOOD, NULL, "libm.so.6", "rank 0 on ", "libm.so.6 is too old: there is no ncclGetVersion"},
        {FAKE_OLD, NULL, NULL, "rank 0 on ", "NCCL of version code 21003, and 21403 or newer"},
        {FAKE_NO_KEY, NULL, NULL, "rank 0 on ", "a key for the ranks of a host: it cannot: says the fake"},
        {FAKE_NO_START, NULL, NULL, "rank 1 on ", "joining the ranks of a host: it cannot: says the fake"},
        {FAKE_ONE_JOIN, NULL, NULL, "rank 0 on ", "joining the ranks of a host: remote process exited"},
        {FAKE_NO_JOIN, NULL, NULL, "rank 0 on ", "joining the ranks of a host: it cannot: says the fake"},
    };
    const char *modules = getenv("SL_MODULE_PATH"), *nccl = getenv("SL_NCCL_LIBRARY");
    char kept[2][1024];
    (void)state;
    snprintf(kept[0], sizeof kept[0], "%s", modules);
    snprintf(kept[1], sizeof kept[1], "%s", nccl);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        setenv("SL_MODULE_PATH", cases[i].modules ? cases[i].modules : kept[0], 1);
        setenv("SL_NCCL_LIBRARY", cases[i].nccl ? cases[i].nccl : kept[1], 1);
        run_with(cases[i].fault, 3, open_in_vain, NULL);
        for (int rank = 0; rank < 3; rank++) {
            assert_in(job.errors[rank], cases[i].rank);
            assert_in(job.errors[rank], cases[i].reason);
        }
        assert_int_equal(fake_node()->destroyed, 0);
        assert_int_equal(seen.ends, 0);
    }
}

/* ---- failures ---- */

/* Until a call fails; the others are waited for no longer. */
static void fail_in_a_call(struct sl_wire *wire, void *self)
{
    (void)self;
    float x[4] = {1.0f};
    int rc = SL_OK;
    struct member m;
    CHECK_OK(open_member(wire, &m));
    sl_comm_enter(m.comm, SL_PHASE_TRAINING, 7);
    for (int i = 0; i < 5 && rc == SL_OK; i++)
        rc = sl_node_reduce(m.comm, &m.node, (struct sl_span){x, 4});
    note_error(ranks_here);
    CHECK(rc == SL_IO);
    CHECK(sl_node_reduce(m.comm, &m.node, (struct sl_span){x, 4}) == SL_IO);
    close_member(&m, rc, sl_comm_close_together);
}

static void assert_named(int size, const char *reason)
{
    for (int rank = 0; rank < size; rank++) {
        char words[64];
        snprintf(words, sizeof words, "rank %d on ", rank);
        assert_in(job.errors[rank], words);
        snprintf(words, sizeof words, ", %d of %d there: ", rank + 1, size);
        assert_in(job.errors[rank], words);
        assert_in(job.errors[rank], reason);
    }
}

static void test_an_asynchronous_error_is_final(void **state)
{
    (void)state;
    run_with(FAKE_REMOTE, 3, fail_in_a_call, NULL);
    assert_named(3, "the sum over the ranks of a host: remote process exited or there was a network error");
    assert_int_equal(fake_node()->aborted, 3);
    assert_int_equal(fake_node()->destroyed, 0);
}

static void test_a_hang_is_aborted(void **state)
{
    (void)state;
    run_with(FAKE_HANG, 3, fail_in_a_call, NULL);
    assert_named(3, "the sum over the ranks of a host was aborted");
    assert_said(" in training, step 7, ");
    assert_int_equal(seen.code, SL_IO);
    assert_int_equal(fake_node()->aborted, 3);
}

static void hang_at_the_start(struct sl_wire *wire, void *self)
{
    (void)self;
    struct member m;
    CHECK(open_member(wire, &m) == SL_IO);
    close_member(&m, SL_IO, sl_comm_close);
}

static void hang_at_the_end(struct sl_wire *wire, void *self)
{
    (void)self;
    struct member m;
    CHECK_OK(open_member(wire, &m));
    CHECK(sl_node_close(m.comm, &m.node, SL_OK) == SL_IO);
    CHECK(strstr(sl_last_error(), "leaving the ranks of a host was aborted"));
    close_member(&m, SL_IO, sl_comm_close);
}

static void test_joining_and_leaving_may_hang(void **state)
{
    (void)state;
    run_with(FAKE_HANG_START, 2, hang_at_the_start, NULL);
    assert_int_equal(fake_node()->aborted, 2);
    assert_int_equal(seen.code, SL_IO);
    run_with(FAKE_HANG_LEAVE, 2, hang_at_the_end, NULL);
    assert_int_equal(fake_node()->aborted, 2);
    assert_int_equal(seen.code, SL_IO);
}

/* Who aborts a sleeping rank does it for another thread: one rank never comes. */
static void come_not(struct sl_wire *wire, void *self)
{
    (void)self;
    float x[4] = {1.0f};
    struct member m;
    CHECK_OK(open_member(wire, &m));
    sl_comm_enter(m.comm, SL_PHASE_TRAINING, 3);
    for (int i = 0; ranks_here == 1 && i < 200 && !has_ended(); i++)
        pause_for(0.05);
    if (ranks_here != 1)
        CHECK(sl_node_reduce(m.comm, &m.node, (struct sl_span){x, 4}) == SL_IO);
    close_member(&m, SL_IO, sl_comm_close);
}

static void test_who_does_not_come_is_named(void **state)
{
    (void)state;
    run_with(FAKE_HANG, 3, come_not, NULL);
    assert_said(" in training, step 3, for rank 1 on ");
    assert_int_equal(fake_node()->aborted, 3);
}

int main(void)
{
    enum { SKIPPED = 77 };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_processors_are_alone),
        cmocka_unit_test(test_a_world_of_one),
    };
    const struct CMUnitTest nccl[] = {
        cmocka_unit_test_setup(test_sums_and_broadcasts, fake_node_use),
        cmocka_unit_test_setup(test_each_host_is_a_node, fake_node_use),
        cmocka_unit_test_setup(test_another_build_is_refused, fake_node_use),
        cmocka_unit_test_setup(test_a_communicator_of_one, fake_node_use),
        cmocka_unit_test_setup(test_skips_have_reasons, fake_node_use),
        cmocka_unit_test_setup(test_an_asynchronous_error_is_final, fake_node_use),
        cmocka_unit_test_setup(test_a_hang_is_aborted, fake_node_use),
        cmocka_unit_test_setup(test_joining_and_leaving_may_hang, fake_node_use),
        cmocka_unit_test_setup(test_who_does_not_come_is_named, fake_node_use),
    };
    const int failures = cmocka_run_group_tests_name("alone", alone, NULL, NULL);
#ifdef SL_FAKE_NCCL
    return cmocka_run_group_tests_name("nccl", nccl, NULL, NULL) + failures;
#else
    (void)nccl;
    printf("SKIP: no nccl.h was found, so there is no plug-in to test\n");
    return failures ? failures : SKIPPED;
#endif
}
