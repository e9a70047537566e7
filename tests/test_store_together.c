/* The checkpoint store of several ranks: one rank's trouble is everybody's, and what is saved is whole. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "tests/store_fixture.h"
#include "tests/thread_outcome.h"

#include "runtime/store/manifest.h"

enum { RANKS = 4, KILLED = 99, OLD = 10, NEW = 20 };

/* What each rank is asked to save; rank 0 has the store. */
struct job {
    struct sl_store *store;
    uint64_t step;
    float value; /* of the rank's file */
};

/* Model and updater as the fixture's save() writes them, and a file of each rank. */
static int save_body(const struct sl_group *group, void *self)
{
    const struct job *job = self;
    const float weights[3] = {(float)job->step, (float)job->step, (float)job->step};
    const struct sl_named_tensor model = {"w", SL_F32, 1, {3}, weights}, own = {"own", SL_F32, 0, {0}, &job->value};
    const struct sl_named_tensor updater = {"step", SL_U64, 0, {0}, &job->step};
    const struct sl_text_pair network = {"network", "{}"};
    char name[SL_STORE_NAME];
    sl_checkpoint_rank_name(group->rank, name);
    const struct sl_store_file files[] = {{name, &own, 1, NULL, 0},
                                          {"model.safetensors", &model, 1, &network, 1},
                                          {"updater.safetensors", &updater, 1, NULL, 0}};
    return sl_store_save_together(group, job->store, job->step, files, group->rank == 0 ? 3 : 1);
}

static struct thread_outcome ranks;

static void assert_agree(void)
{
    for (int i = 1; i < ranks.size; i++)
        assert_int_equal(ranks.status[i], ranks.status[0]);
}

/* Saves one step by so many ranks; `ranks` says what became of them. In a child nothing can be asserted. */
static int save_quietly(int size, struct sl_store *store, uint64_t step)
{
    static struct job jobs[THREAD_RANKS];
    ranks.body = save_body;
    for (int i = 0; i < size; i++) {
        jobs[i] = (struct job){i == 0 ? store : NULL, step, (float)i};
        ranks.selves[i] = &jobs[i];
    }
    return thread_outcome_run(&ranks, size);
}

static int save_by(int size, struct sl_store *store, uint64_t step)
{
    const int rc = save_quietly(size, store, step);
    assert_agree();
    return rc;
}

static struct sl_store *open_store(int keep)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, keep, &store), SL_OK);
    reports[0] = '\0';
    sl_store_listen(store, note, NULL);
    return store;
}

static void save_all(int keep, uint64_t first, uint64_t last)
{
    struct sl_store *store = open_store(keep);
    for (uint64_t step = first; step <= last; step += 10)
        assert_int_equal(save_by(RANKS, store, step), SL_OK);
    sl_store_close(store);
}

/* ---- Loading ---- */

struct loaded {
    uint64_t step;
    int world, files;
    bool has, right; /* the files of ranks are those that this rank goes on from, with what their ranks wrote */
    char told[1024];
};

static void note_loaded(void *self, const char *line)
{
    struct loaded *loaded = self;
    const size_t n = strlen(loaded->told);
    snprintf(loaded->told + n, sizeof loaded->told - n, "%s\n", line);
}

static bool has_right_files(const struct sl_checkpoint *checkpoint, const struct sl_group *group)
{
    bool right = sl_checkpoint_file(checkpoint, "model.safetensors") != NULL;
    for (int then = 0; then < checkpoint->world; then++) {
        char name[SL_STORE_NAME];
        sl_checkpoint_rank_name(then, name);
        const struct sl_safetensors *file = sl_checkpoint_file(checkpoint, name);
        const bool wanted = checkpoint->world > group->size ? then % group->size == group->rank
                                                            : then == group->rank % checkpoint->world;
        right &= wanted == (file != NULL);
        right &= !file || *(const float *)sl_safetensors_find(file, "own")->data == (float)then;
    }
    return right;
}

static int load_body(const struct sl_group *group, void *self)
{
    int rc = SL_OK;
    struct loaded *loaded = self;
    struct sl_checkpoint checkpoint = {0};
    *loaded = (struct loaded){.step = 0};
    SL_TRY(sl_store_has_checkpoint_together(group, run, &loaded->has));
    SL_TRY(sl_store_load_together(group, run, note_loaded, loaded, &checkpoint));
    loaded->step = checkpoint.step;
    loaded->world = checkpoint.world;
    loaded->files = (int)checkpoint.file_count;
    loaded->right = has_right_files(&checkpoint, group);
out:
    sl_checkpoint_close(&checkpoint);
    return rc;
}

static struct loaded loaded[THREAD_RANKS];

static int load_by(int size)
{
    ranks.body = load_body;
    for (int i = 0; i < size; i++)
        ranks.selves[i] = &loaded[i];
    const int rc = thread_outcome_run(&ranks, size);
    assert_agree();
    return rc;
}

static void assert_loads(int size, uint64_t step)
{
    assert_int_equal(load_by(size), SL_OK);
    for (int i = 0; i < size; i++)
        if (loaded[i].step != step || loaded[i].world != RANKS || !loaded[i].right || !loaded[i].has)
            fail_msg("rank %d of %d loads step %d of %d ranks, right %d", i, size, (int)loaded[i].step, loaded[i].world,
                     loaded[i].right);
}

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

/* ---- At every step ---- */

static atomic_int countdown, happened;
static int fault_error;
static bool fault_stays;

static int die(const char *step, const char *path)
{
    (void)step;
    (void)path;
    if (--countdown == 0)
        _exit(KILLED);
    return 0;
}

static void survives_a_kill_at_every_step(void **state)
{
    (void)state;
    int status = 1, steps = 0;
    bool saw_old = false, saw_new = false;
    for (int n = 1; status != 0; n++) {
        erase(run);
        save_all(1, OLD, OLD);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct sl_store *store;
            countdown = n;
            sl_io_fault_hook = die;
            const int rc = sl_store_open(run, 1, &store);
            _exit(rc ? rc : save_quietly(RANKS, store, NEW));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == KILLED));
        const uint64_t step = loads();
        assert_true(step == OLD || step == NEW);
        saw_old |= step == OLD;
        saw_new |= step == NEW;
        assert_loads(RANKS, step);
        save_all(1, 30, 30);
        assert_int_equal(loads(), 30);
        assert_int_equal(count_entries(".tmp"), 0);
        steps = n;
    }
    assert_true(saw_old && saw_new && steps > 30);
}

static int starve(const char *step, const char *path)
{
    (void)path;
    if (!strcmp(step, "open") || !strcmp(step, "read") || !strcmp(step, "list"))
        return 0;
    const int left = --countdown;
    if (left == 0)
        happened = true;
    return left == 0 || (left < 0 && fault_stays) ? fault_error : 0;
}

static void survives_a_failure_at_every_step(void **state)
{
    (void)state;
    static const int errors[] = {ENOSPC, EIO};
    for (int variant = 0; variant < 4; variant++) {
        happened = true;
        for (int n = 1; happened; n++) {
            erase(run);
            save_all(1, OLD, OLD);
            struct sl_store *store = open_store(1);
            fault_stays = variant & 1;
            fault_error = errors[variant >> 1];
            countdown = n;
            happened = false;
            sl_io_fault_hook = starve;
            const int rc = save_by(RANKS, store, NEW);
            sl_io_fault_hook = NULL;
            assert_true(rc == SL_OK || rc == (fault_error == EIO ? SL_IO : SL_CANNOT_CREATE));
            if (rc != SL_OK)
                assert_all_end(&ranks, rc, strerror(fault_error));
            const uint64_t step = loads();
            assert_true(step == OLD || step == NEW);
            assert_true(rc != SL_OK || step == NEW);
            assert_int_equal(save_by(RANKS, store, 30), SL_OK);
            sl_store_close(store);
            assert_loads(RANKS, 30);
            assert_true(n < 200);
        }
    }
}

/* ---- Damage ---- */

static void assert_falls_back(const char *reason)
{
    static const int worlds[] = {4, 2, 3, 8, 1};
    for (size_t w = 0; w < sizeof worlds / sizeof *worlds; w++) {
        assert_loads(worlds[w], OLD);
        assert_non_null(strstr(loaded[0].told, "checkpoint ckpt-20 refused: "));
        assert_non_null(strstr(loaded[0].told, reason));
        for (int i = 1; i < worlds[w]; i++)
            assert_string_equal(loaded[i].told, "");
    }
}

static void what_is_damaged_for_one_is_refused_by_all(void **state)
{
    (void)state;
    struct sl_safetensors *model;
    save_all(2, OLD, NEW);
    FILE *file = fopen(in_run("ckpt-20/rank-0003.safetensors"), "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(0x55, file), 0x55);
    assert_int_equal(fclose(file), 0);
    assert_falls_back("rank-0003.safetensors");
    assert_int_equal(load_by(RANKS), SL_OK);
    assert_non_null(strstr(loaded[0].told, "rank 3 on dog: "));
    /* It lacks nothing that a model needs. */
    assert_int_equal(sl_store_open_model(run, note, NULL, &model), SL_OK);
    assert_true(*(const float *)sl_safetensors_find(model, "w")->data == NEW);
    sl_safetensors_close(model);
    /* Listed, and not there. */
    assert_int_equal(unlink(in_run("ckpt-20/rank-0003.safetensors")), 0);
    assert_falls_back("rank-0003.safetensors");
    assert_int_equal(sl_store_open_model(in_run("last-good"), NULL, NULL, &model), SL_OK);
    sl_safetensors_close(model);
    assert_int_equal(truncate(in_run("ckpt-10/rank-0001.safetensors"), 9), 0);
    assert_int_equal(load_by(RANKS), SL_BAD_DATA);
    assert_all_end(&ranks, SL_BAD_DATA, "none of the 2 checkpoints is whole");
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

/* ---- The acts one by one ---- */

static void act_puts(uint64_t step, int rank, struct sl_store_entry *entry)
{
    char name[SL_STORE_NAME];
    const float value = (float)rank;
    const struct sl_named_tensor own = {"own", SL_F32, 0, {0}, &value};
    sl_checkpoint_rank_name(rank, name);
    const struct sl_store_file file = {name, &own, 1, NULL, 0};
    assert_int_equal(sl_store_put(run, step, &file, entry), SL_OK);
}

static void commit_believes_nobody(void **state)
{
    (void)state;
    bool saved;
    struct sl_store_entry entries[3], lies[3];
    struct sl_store *store = open_store(1);
    const struct sl_store_file file = {"rank-0000.safetensors", NULL, 0, NULL, 0};
    assert_int_equal(sl_store_put(run, NEW, &file, entries), SL_CANNOT_CREATE); /* not begun */
    assert_int_equal(sl_store_begin(store, UINT64_MAX, &saved), SL_INTERNAL);
    for (int wrong = 0; wrong < 7; wrong++) {
        assert_int_equal(sl_store_begin(store, NEW, &saved), SL_OK);
        assert_false(saved);
        for (int i = 0; i < 3; i++)
            act_puts(NEW, i, &entries[i]);
        memcpy(lies, entries, sizeof lies);
        switch (wrong) {
        case 0:
            lies[1].bytes++;
            break;
        case 1:
            strcpy(lies[1].name, "../rank-0001.safetensors");
            break;
        case 2:
            memset(lies[1].name, 'a', sizeof lies[1].name);
            break;
        case 3:
            strcpy(lies[1].name, lies[0].name);
            break;
        case 4:
            strcpy(lies[1].name, "rank-0009.safetensors");
            break;
        case 5:
            assert_int_equal(unlink(in_run("ckpt-20.tmp/rank-0001.safetensors")), 0);
            assert_int_equal(symlink("rank-0000.safetensors", in_run("ckpt-20.tmp/rank-0001.safetensors")), 0);
            break;
        default:
            lies[1].hash = 0; /* told apart when it is read */
        }
        const int rc = sl_store_commit(store, NEW, lies, 3);
        assert_true(wrong == 6 ? rc == SL_OK : rc != SL_OK);
        char detail[512];
        snprintf(detail, sizeof detail, "%s", sl_last_error());
        sl_store_abandon(store, NEW);
        assert_string_equal(sl_last_error(), detail);
        assert_true(exists("ckpt-20") == (wrong == 6));
    }
    assert_int_equal(load_by(RANKS), SL_BAD_DATA);
    assert_int_equal(sl_store_begin(store, NEW, &saved), SL_OK);
    assert_false(saved);
    for (int i = 0; i < 3; i++)
        act_puts(NEW, i, &entries[i]);
    assert_int_equal(sl_store_commit(store, NEW, entries, 3), SL_OK);
    assert_int_equal(sl_store_begin(store, NEW, &saved), SL_OK);
    assert_true(saved && !exists("ckpt-20.tmp"));
    sl_store_close(store);
}

static void a_world_with_gaps_is_refused(void **state)
{
    (void)state;
    bool saved;
    struct sl_checkpoint checkpoint;
    struct sl_store_entry entries[2];
    struct sl_store *store = open_store(1);
    static const int numbers[][2] = {{0, 2}, {1, 2}, {0, 9999}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(sl_store_begin(store, 10 * i + 10, &saved), SL_OK);
        for (int k = 0; k < 2; k++)
            act_puts(10 * i + 10, numbers[i][k], &entries[k]);
        assert_int_equal(sl_store_commit(store, 10 * i + 10, entries, 2), SL_OK);
        assert_int_equal(sl_store_load(run, NULL, NULL, &checkpoint), SL_BAD_DATA);
        assert_non_null(strstr(sl_last_error(), "among only 2 of ranks"));
    }
    sl_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_rank_writes_and_reads_its_own),
        CASE(one_ranks_failure_is_everybodys),
        CASE(what_is_not_finite_on_one_is_not_saved),
        CASE(a_disk_that_is_full_for_one_is_made_room_on),
        CASE(survives_a_kill_at_every_step),
        CASE(survives_a_failure_at_every_step),
        CASE(what_is_damaged_for_one_is_refused_by_all),
        CASE(what_one_cannot_read_now_is_not_walked_past),
        CASE(commit_believes_nobody),
        CASE(a_world_with_gaps_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
