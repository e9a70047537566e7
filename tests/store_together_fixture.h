/* Checkpoints that the ranks of a thread group save together, and load in a world of any size. */
#ifndef SL_TESTS_STORE_TOGETHER_FIXTURE_H
#define SL_TESTS_STORE_TOGETHER_FIXTURE_H

#include "tests/store_fixture.h"
#include "tests/thread_outcome.h"

#include "runtime/store/manifest.h"

enum { RANKS = 4, OLD = 10, NEW = 20 };

/* What each rank is asked to save; rank 0 has the store. */
struct job {
    struct sl_store *store;
    uint64_t step;
    float value; /* of the rank's file */
};

/* Model and updater as the fixture's save() writes them, and a file of each rank. */
static inline int save_body(const struct sl_group *group, void *self)
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

static inline void assert_agree(void)
{
    for (int i = 1; i < ranks.size; i++)
        assert_int_equal(ranks.status[i], ranks.status[0]);
}

/* Saves one step by so many ranks; `ranks` says what became of them. In a child nothing can be asserted. */
static inline int save_quietly(int size, struct sl_store *store, uint64_t step)
{
    static struct job jobs[THREAD_RANKS];
    ranks.body = save_body;
    for (int i = 0; i < size; i++) {
        jobs[i] = (struct job){i == 0 ? store : NULL, step, (float)i};
        ranks.selves[i] = &jobs[i];
    }
    return thread_outcome_run(&ranks, size);
}

static inline int save_by(int size, struct sl_store *store, uint64_t step)
{
    const int rc = save_quietly(size, store, step);
    assert_agree();
    return rc;
}

static inline struct sl_store *open_store(int keep)
{
    struct sl_store *store;
    assert_int_equal(sl_store_open(run, keep, &store), SL_OK);
    reports[0] = '\0';
    sl_store_listen(store, note, NULL);
    return store;
}

static inline void save_all(int keep, uint64_t first, uint64_t last)
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

static inline void note_loaded(void *self, const char *line)
{
    struct loaded *loaded = self;
    const size_t n = strlen(loaded->told);
    snprintf(loaded->told + n, sizeof loaded->told - n, "%s\n", line);
}

static inline bool has_right_files(const struct sl_checkpoint *checkpoint, const struct sl_group *group)
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

static inline int load_body(const struct sl_group *group, void *self)
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

static inline int load_by(int size)
{
    ranks.body = load_body;
    for (int i = 0; i < size; i++)
        ranks.selves[i] = &loaded[i];
    const int rc = thread_outcome_run(&ranks, size);
    assert_agree();
    return rc;
}

static inline void assert_loads(int size, uint64_t step)
{
    assert_int_equal(load_by(size), SL_OK);
    for (int i = 0; i < size; i++)
        if (loaded[i].step != step || loaded[i].world != RANKS || !loaded[i].right || !loaded[i].has)
            fail_msg("rank %d of %d loads step %d of %d ranks, right %d", i, size, (int)loaded[i].step, loaded[i].world,
                     loaded[i].right);
}
#endif
