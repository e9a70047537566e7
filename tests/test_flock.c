/* Ranks that train together hold the same bits: after many steps, twice, with other threads, on other hosts; and
 * where they do not, somebody says so. */
#include "tests/flock_run.h"

/* ---- The same bits ---- */

#ifdef __SANITIZE_ADDRESS__ /* looks at each of them, and they are alike */
enum { MANY = 200 };
#else
enum { MANY = 1000 };
#endif

static void train_long(const char *data, const char *exchange, int size, bool twice)
{
    struct flock_run first = flock_run_of(data, exchange, MANY), second;
    first.hash_every = MANY / 10;
    second = first;
    flock_train(&first, size);
    assert_int_equal(first.position[0].iteration, MANY);
    if (twice) {
        flock_train(&second, size);
        assert_same_runs(&first, &second, size);
    }
    flock_forget(&first);
    flock_forget(&second);
}

static void many_steps_keep_the_bits(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        train_long(data, sl_exchange_at(i)->name, 2, false);
        train_long(data, sl_exchange_at(i)->name, 3, true);
        train_long(data, sl_exchange_at(i)->name, 8, false);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run one = flock_run_of(data, sl_exchange_at(i)->name, 50), many = one;
        memcpy(many.threads, (int[]){3, 1, 2}, 3 * sizeof(int));
        flock_train(&one, 3);
        flock_train(&many, 3);
        assert_same_runs(&one, &many, 3);
        flock_forget(&one);
        flock_forget(&many);
    }
}

/* Rank 1 computes where the host cannot look, as on a GPU. */
static void devices_may_have_their_own_memory(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run plain = flock_run_of(data, sl_exchange_at(i)->name, 20), strict = plain;
        strict.strict = 1;
        flock_train(&plain, 2);
        flock_train(&strict, 2);
        assert_same_runs(&plain, &strict, 2);
        flock_forget(&plain);
        flock_forget(&strict);
    }
}

/* ---- Mixed hosts ---- */

/* Rank 1's host has fewer instruction sets than the others. *other: that changed what rank 1 has learned by itself. */
static void train_mixed(const char *data, const char *exchange, uint32_t most, uint32_t least, bool *other)
{
    struct flock_run same = flock_run_of(data, exchange, 200), mixed;
    same.hash_every = 50;
    for (int r = 0; r < 3; r++)
        same.isa[r] = most;
    mixed = same;
    mixed.isa[1] = least;
    flock_train(&same, 3);
    flock_train(&mixed, 3);
    *other = memcmp(same.state[1], mixed.state[1], same.bytes) != 0;
    flock_forget(&same);
    flock_forget(&mixed);
}

static bool lacks(uint32_t isa, const char *name)
{
    if (sl_isa() & isa)
        return false;
    print_message("skipped: hosts with %s beside others; this processor lacks it\n", name);
    return true;
}

static void hosts_may_differ(void **state)
{
    (void)state;
    const char *data = flock_data();
    bool other;
    if (lacks(SL_AVX2, "AVX2"))
        skip();
    train_mixed(data, "threshold", sl_isa(), SL_CPU, &other);
    assert_true(other);
    train_mixed(data, "updates", sl_isa(), SL_CPU, &other);
    assert_true(other);
    for (size_t i = 0; !lacks(SL_AVX512, "AVX-512") && sl_exchange_at(i); i++)
        train_mixed(data, sl_exchange_at(i)->name, sl_isa(), SL_CPU | SL_AVX2, &other);
}

/* The references compute in double, and so does their updater. That matters to `dense` alone, where each rank moves the
 * parameters by its own: it wants vectors on all hosts or on none, and who lets it run otherwise is told. */
static void dense_wants_one_rounding(void **state)
{
    (void)state;
    if (lacks(SL_AVX2, "AVX2"))
        skip();
    struct flock_run run = flock_run_of(flock_data(), "dense", 200);
    run.hash_every = 100;
    run.isa[1] = SL_CPU;
    flock_try(&run, 3);
    for (int r = 0; r < 3; r++) {
        assert_int_equal(run.rc[r], SL_DISAGREE);
        assert_non_null(strstr(run.text[r], "the parameters of rank 1 ("));
    }
    flock_forget(&run);
}

/* ---- Disagreement ---- */

enum { FLIPPED_AT = 13, COMPARED_EVERY = 10 };

static void flip_a_bit(struct flock_member *m)
{
    if (m->rank->number != 1 || m->session.position.iteration != FLIPPED_AT)
        return;
    float *value = (float *)(uintptr_t)m->agreed[1].at;
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    bits ^= UINT32_C(1) << 20;
    memcpy(value, &bits, sizeof bits);
}

static void a_flipped_bit_is_found(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run run = flock_run_of(data, sl_exchange_at(i)->name, 50);
        run.hash_every = COMPARED_EVERY;
        run.before = flip_a_bit;
        flock_try(&run, 3);
        for (int r = 0; r < 3; r++) {
            assert_int_equal(run.rc[r], SL_DISAGREE);
            assert_non_null(strstr(run.text[r], "the parameters of rank 1 ("));
            assert_non_null(strstr(run.text[r], "the first that differs is norm.gamma"));
            assert_int_equal(run.position[r].iteration, 2 * COMPARED_EVERY);
        }
        flock_forget(&run);
    }
}

/* ---- Stopping ---- */

enum { STOPPED_AT = 7 };

static void want_to_stop(struct flock_member *m, struct sl_vote *vote)
{
    vote->stop |= m->rank->number == 2 && m->session.position.iteration == STOPPED_AT;
}

static void all_stop_after_the_same_step(void **state)
{
    (void)state;
    const char *data = flock_data();
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flock_run run = flock_run_of(data, sl_exchange_at(i)->name, 50);
        run.vote = want_to_stop;
        flock_train(&run, 3);
        assert_int_equal(run.position[0].iteration, STOPPED_AT + 1);
        flock_forget(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLOCK_CASE(many_steps_keep_the_bits),          FLOCK_CASE(threads_change_nothing),
        FLOCK_CASE(devices_may_have_their_own_memory), FLOCK_CASE(hosts_may_differ),
        FLOCK_CASE(dense_wants_one_rounding),          FLOCK_CASE(a_flipped_bit_is_found),
        FLOCK_CASE(all_stop_after_the_same_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
