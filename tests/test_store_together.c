/* The checkpoint store of several ranks: one rank's trouble is everybody's, and what is saved is whole. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>

#include "tests/store_together_fixture.h"

static atomic_int data_reads;

static int count_data(const char *step, const char *path)
{
    data_reads += !strcmp(step, "open") && strstr(path, "/rank-");
    return 0;
}

static void each_rank_writes_and_reads_its_own(void **state)
{
    (void)state;
    assert_int_equal(load_by(RANKS), SL_MISSING);
    assert_false(loaded[0].has || loaded[1].has);
    struct sl_store *store = open_store(2);
    sl_io_fault_hook = count_data;
    data_reads = 0;
    assert_int_equal(save_by(RANKS, store, OLD), SL_OK);
    assert_int_equal(data_reads, 2 * RANKS); /* by its writer, and its size by rank 0 */
    sl_io_fault_hook = NULL;
    assert_int_equal(save_by(RANKS, store, OLD), SL_OK); /* saved already */
    assert_int_equal(save_by(RANKS, store, NEW), SL_OK);
    assert_string_equal(reports, "");
    sl_store_close(store);
    assert_int_equal(count_entries(".tmp"), 0);
    static const int worlds[] = {4, 2, 3, 8, 1};
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++)
        assert_loads(worlds[i], NEW);
    assert_int_equal(loads(), NEW);
    data_reads = 0;
    sl_io_fault_hook = count_data;
    assert_loads(RANKS, NEW);
    assert_int_equal(data_reads, RANKS);
    sl_io_fault_hook = NULL;
}

/* ---- What one rank meets ---- */

static const char *victim, *victim_step;
static int victim_error;

static int hit(const char *step, const char *path)
{
    return !strcmp(step, victim_step) && strstr(path, victim) ? victim_error : 0;
}

static void one_ranks_failure_is_everybodys(void **state)
{
    (void)state;
    static const char *const steps[] = {"create", "write", "sync", "open", "read"};
    save_all(2, OLD, OLD);
    struct sl_store *store = open_store(2);
    victim = "/rank-0002";
    victim_error = EIO;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        victim_step = steps[i];
        sl_io_fault_hook = hit;
        (void)save_by(RANKS, store, NEW);
        sl_io_fault_hook = NULL;
        assert_all_end(&ranks, SL_IO, "rank 2 on cat: ");
        assert_false(exists("ckpt-20"));
        assert_int_equal(count_entries(".tmp"), 0);
        assert_loads(RANKS, OLD);
    }
    assert_int_equal(save_by(RANKS, store, NEW), SL_OK);
    sl_store_close(store);
}

static int not_finite_body(const struct sl_group *group, void *self)
{
    struct job *job = self;
    if (group->rank == 3)
        job->value = NAN;
    return save_body(group, job);
}

static void what_is_not_finite_on_one_is_not_saved(void **state)
{
    (void)state;
    struct sl_store *store = open_store(2);
    struct job jobs[RANKS] = {{store, NEW, 0}, {NULL, NEW, 1}, {NULL, NEW, 2}, {NULL, NEW, 3}};
    ranks.body = not_finite_body;
    for (int i = 0; i < RANKS; i++)
        ranks.selves[i] = &jobs[i];
    assert_int_equal(thread_outcome_run(&ranks, RANKS), SL_NUMERICS);
    assert_all_end(&ranks, SL_NUMERICS, "rank 3 on dog: rank-0003.safetensors: tensor \"own\"");
    assert_int_equal(count_entries(".tmp"), 0);
    assert_false(has_checkpoint());
    sl_store_close(store);
}

/* A disk that is full for rank 1 while there are more than `room` checkpoints. */
static int room;

static int fill(const char *step, const char *path)
{
    int count = 0;
    if (strcmp(step, "write") || !strstr(path, "/rank-0001"))
        return 0;
    for (int i = 10; i < 100; i += 10) {
        struct stat info;
        char folder[PATH_LENGTH];
        snprintf(folder, sizeof folder, "%s/ckpt-%d", run, i);
        count += lstat(folder, &info) == 0;
    }
    return count > room ? ENOSPC : 0;
}

static void a_disk_that_is_full_for_one_is_made_room_on(void **state)
{
    (void)state;
    save_all(3, 10, 30);
    struct sl_store *store = open_store(3);
    room = 2;
    sl_io_fault_hook = fill;
    assert_int_equal(save_by(RANKS, store, 40), SL_OK);
    sl_io_fault_hook = NULL;
    assert_true(!exists("ckpt-10") && exists("ckpt-20") && exists("ckpt-30") && exists("ckpt-40"));
    assert_non_null(strstr(reports, "the disk is full: ckpt-10 was removed to make room for ckpt-40"));
    assert_loads(RANKS, 40);
    /* One try more, not many: then the old ones stay. */
    room = 0;
    sl_io_fault_hook = fill;
    assert_int_equal(save_by(RANKS, store, 50), SL_CANNOT_CREATE);
    sl_io_fault_hook = NULL;
    assert_all_end(&ranks, SL_CANNOT_CREATE, "rank 1 on bee: ");
    assert_all_end(&ranks, SL_CANNOT_CREATE, "No space left");
    assert_true(!exists("ckpt-20") && exists("ckpt-30") && exists("ckpt-40") && !exists("ckpt-50"));
    assert_int_equal(count_entries(".tmp"), 0);
    sl_store_close(store);
}

static void what_one_cannot_read_now_is_not_walked_past(void **state)
{
    (void)state;
    save_all(2, OLD, NEW);
    victim = "ckpt-20/rank-0001";
    victim_step = "open";
    victim_error = EIO;
    sl_io_fault_hook = hit;
    assert_int_equal(load_by(RANKS), SL_IO);
    sl_io_fault_hook = NULL;
    assert_all_end(&ranks, SL_IO, "try again, or move ckpt-20 away");
    assert_string_equal(loaded[0].told, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_rank_writes_and_reads_its_own),          CASE(one_ranks_failure_is_everybodys),
        CASE(what_is_not_finite_on_one_is_not_saved),      CASE(a_disk_that_is_full_for_one_is_made_room_on),
        CASE(what_one_cannot_read_now_is_not_walked_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
