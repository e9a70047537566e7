/* Threshold encoding: DL4J's published vectors (its CompressionTests), and that nothing is lost. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/elementwise/philox.h"
#include "kernels/launch.h"
#include "kernels/threshold/threshold.h"
#include "runtime/device/parallel.h"

/* A residual, and what was sent of it: entries end to end, as threshold_decode wants them. */
struct rank {
    int64_t n, count;
    float *r, *u, *sum, *sample;
    uint32_t *entries;
    int64_t *counts, *offsets;
    double *lost;
};

/* Every set of rows, by what the processor may use. */
static const uint32_t isas[] = {SL_CPU, SL_CPU | SL_AVX2, ~0u};
static uint32_t isa;
static int threads;

static void *room(int64_t n, size_t bytes)
{
    void *at = calloc((size_t)n + 1, bytes);
    assert_non_null(at);
    return at;
}

static struct rank rank_of(int64_t n)
{
    const int64_t chunks = sl_threshold_chunks(n);
    return (struct rank){.n = n,
                         .r = room(n, sizeof(float)),
                         .u = room(n, sizeof(float)),
                         .sum = room(n, sizeof(float)),
                         .sample = room(sl_threshold_samples(n), sizeof(float)),
                         .entries = room(n, sizeof(uint32_t)),
                         .counts = room(chunks, sizeof(int64_t)),
                         .offsets = room(chunks, sizeof(int64_t)),
                         .lost = room(chunks, sizeof(double))};
}

static void free_rank(struct rank *rank)
{
    void *const all[] = {rank->r,       rank->u,      rank->sum,     rank->sample,
                         rank->entries, rank->counts, rank->offsets, rank->lost};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void launch(enum sl_op op, int64_t n, const void *args)
{
    const struct sl_threshold shape = {n, SL_ELEMENT_F32};
    struct sl_device device;
    struct sl_choice choice;
    assert_int_equal(sl_device_cpu_open(threads, &device), SL_OK);
    device.isa &= isa;
    assert_int_equal(sl_choose(&device, op, &shape, &choice), SL_OK);
    assert_int_equal(sl_launch(&choice, op, &shape, args), SL_OK);
    sl_choice_close(&choice);
    device.close(device.self);
}

/* Adds `u`, or nothing, and brings the entries together. */
static void encode(struct rank *rank, const float *u, float tau)
{
    const struct sl_threshold_encode args = {
        .r = rank->r, .u = u, .tau = tau, .entries = rank->entries, .counts = rank->counts};
    launch(SL_OP_threshold_encode, rank->n, &args);
    rank->count = 0;
    for (int64_t c = 0; c < sl_threshold_chunks(rank->n); c++) {
        rank->offsets[c] = rank->count;
        memmove(rank->entries + rank->count, rank->entries + c * SL_THRESHOLD_CHUNK,
                (size_t)rank->counts[c] * sizeof *rank->entries);
        rank->count += rank->counts[c];
    }
    rank->offsets[sl_threshold_chunks(rank->n)] = rank->count;
}

/* What `copies` ranks that sent the same make together. */
static void decode(struct rank *rank, float tau, int32_t copies)
{
    struct sl_threshold_part parts[8];
    for (int32_t p = 0; p < copies; p++)
        parts[p] = (struct sl_threshold_part){rank->entries, rank->offsets, tau};
    const struct sl_threshold_decode args = {.parts = parts, .count = copies, .scale = 1.0f, .sum = rank->sum};
    launch(SL_OP_threshold_decode, rank->n, &args);
}

static struct rank rank_with(const float *r, int64_t n)
{
    struct rank rank = rank_of(n);
    memcpy(rank.r, r, (size_t)n * sizeof *r);
    return rank;
}

/* Uniform in [-1, 1). */
static float number(uint64_t stream, int64_t i)
{
    return 2.0f * sl_uniform(sl_philox4x32(3, stream, (uint64_t)i).word[0]) - 1.0f;
}

static void one_in_twenty(void **state)
{
    (void)state;
    struct rank rank = rank_of(16384);
    for (int i = 0; i < 96; i++)
        rank.r[20 * i] = 1.0f;
    encode(&rank, NULL, 0.9f);
    decode(&rank, 0.9f, 1);
    assert_int_equal(rank.count, 96);
    for (int i = 0; i < 16384; i++) {
        const bool one = i % 20 == 0 && i < 96 * 20;
        assert_true(rank.r[i] == (one ? 1.0f - 0.9f : 0.0f));
        assert_true(rank.sum[i] == (one ? 0.9f : 0.0f));
        if (one)
            assert_int_equal(rank.entries[i / 20], i);
    }
    free_rank(&rank);
}

static void the_boundary_is_sent(void **state)
{
    (void)state;
    struct rank rank = rank_with((float[]){0.0f, 0.0f, 1e-3f, -1e-3f, 0.0f, 0.0f}, 6);
    encode(&rank, NULL, 1e-3f);
    assert_int_equal(rank.count, 2);
    assert_int_equal(rank.entries[0], 2);
    assert_int_equal(rank.entries[1], 3 | SL_THRESHOLD_NEGATIVE);
    for (int i = 0; i < 6; i++)
        assert_true(rank.r[i] == 0.0f);
    free_rank(&rank);
}

static void one_quantum_an_element_and_decoding_adds(void **state)
{
    (void)state;
    static const float x[] = {1.0f, 2.0f, 0.0f, 0.0f, -1.0f, -1.0f};
    const float tau = 1e-3f;
    struct rank rank = rank_with(x, 6);
    encode(&rank, NULL, tau);
    decode(&rank, tau, 2);
    assert_int_equal(rank.count, 4);
    for (int i = 0; i < 6; i++) {
        const float quantum = x[i] == 0.0f ? 0.0f : copysignf(tau, x[i]);
        assert_true(rank.r[i] == x[i] - quantum);
        assert_true(rank.sum[i] == 2.0f * quantum);
    }
    free_rank(&rank);
}

/* DL4J sends no message of one element, and takes half a step off what is below -tau/2. */
static void below_tau_nothing_moves_and_one_element_is_sent(void **state)
{
    (void)state;
    static const float x[] = {9e-4f, -6e-4f, 0.0f, -9.9e-4f, 1e-3f};
    struct rank rank = rank_with(x, 5);
    encode(&rank, NULL, 1.001e-3f);
    assert_int_equal(rank.count, 0);
    assert_memory_equal(rank.r, x, sizeof x);
    encode(&rank, NULL, 1e-3f);
    assert_int_equal(rank.count, 1);
    assert_int_equal(rank.entries[0], 4);
    assert_memory_equal(rank.r, x, 4 * sizeof *x);
    assert_true(rank.r[4] == 0.0f);
    free_rank(&rank);
}

static void a_thousand_ones(void **state)
{
    (void)state;
    struct rank rank = rank_of(1000);
    for (int i = 0; i < 1000; i++)
        rank.u[i] = 1.0f;
    encode(&rank, rank.u, 1.0f);
    assert_int_equal(rank.count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(rank.entries[i] == (uint32_t)i && rank.r[i] == 0.0f);
    free_rank(&rank);
}

/* r - tau is exact where tau <= r <= 2 tau (Sterbenz); above, it is rounded once, by half an ulp of what stays. */
static void residual_and_decoded_are_the_original(void **state)
{
    (void)state;
    enum { N = 100000 };
    const float tau = 0.25f / 3.0f;
    struct rank rank = rank_of(N);
    for (int i = 0; i < N; i++)
        rank.r[i] = number(1, i);
    encode(&rank, NULL, tau);
    decode(&rank, tau, 1);
    for (int i = 0; i < N; i++) {
        const float x = number(1, i);
        const double lost = ((double)rank.r[i] + (double)rank.sum[i]) - (double)x;
        const float ulp = nextafterf(fabsf(rank.r[i]), INFINITY) - fabsf(rank.r[i]);
        assert_true((rank.sum[i] != 0.0f) == (fabsf(x) >= tau));
        assert_true(fabsf(x) <= 2.0f * tau ? lost == 0.0 : fabs(lost) <= 0.5 * (double)ulp);
    }
    free_rank(&rank);
}

/* Multiples of 2^-20 below 2^3 are added and subtracted without rounding. */
static void nothing_is_lost_over_many_steps(void **state)
{
    (void)state;
    enum { N = 1009, STEPS = 300 };
    const float tau = 0x1p-3f;
    static double all[N], sent[N];
    struct rank rank = rank_of(N);
    memset(all, 0, sizeof all);
    memset(sent, 0, sizeof sent);
    for (uint64_t step = 0; step < STEPS; step++) {
        for (int i = 0; i < N; i++) {
            rank.u[i] = rintf(number(step, i) * 0x1p17f) * 0x1p-20f + 0x1p-6f;
            all[i] += (double)rank.u[i];
        }
        encode(&rank, rank.u, tau);
        decode(&rank, tau, 1);
        for (int i = 0; i < N; i++)
            sent[i] += (double)rank.sum[i];
    }
    for (int i = 0; i < N; i++) {
        assert_true(sent[i] + (double)rank.r[i] == all[i]);
        assert_true(sent[i] != 0.0 && fabsf(rank.r[i]) < 2.0f * tau);
    }
    free_rank(&rank);
}

/* (0.1 + 0.2) + 0.3 is not 0.1 + (0.2 + 0.3); seven times 0.1 is not 0.1 seven times over. */
static void parts_are_added_in_order_and_alike_ones_counted(void **state)
{
    (void)state;
    static const uint32_t plus = 0;
    static const int64_t offsets[] = {0, 1};
    struct sl_threshold_part parts[8];
    float sum;
    for (int p = 0; p < 8; p++)
        parts[p] = (struct sl_threshold_part){&plus, offsets, p == 7 ? 16.0f : 0.1f};
    launch(SL_OP_threshold_decode, 1, &(struct sl_threshold_decode){parts, 7, 1.0f, &sum});
    assert_true(sum == 7.0f * 0.1f);
    launch(SL_OP_threshold_decode, 1, &(struct sl_threshold_decode){parts, 8, 0.125f, &sum});
    assert_true(sum == (7.0f * 0.1f + 16.0f) * 0.125f);
    parts[1].tau = 0.2f;
    parts[2].tau = 0.3f;
    launch(SL_OP_threshold_decode, 1, &(struct sl_threshold_decode){parts, 3, 1.0f / 3.0f, &sum});
    assert_true(sum == (1.0f / 3.0f) * ((0.1f + 0.2f) + 0.3f));
}

static void a_sample_is_spread_evenly(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 100, SL_THRESHOLD_SAMPLES, SL_THRESHOLD_SAMPLES + 1, 100003};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        struct rank rank = rank_of(lengths[l]);
        const int64_t m = sl_threshold_samples(rank.n);
        for (int64_t i = 0; i < rank.n; i++) {
            rank.r[i] = (float)i;
            rank.u[i] = -2.0f * (float)i;
        }
        launch(SL_OP_threshold_sample, rank.n, &(struct sl_threshold_sample){rank.r, rank.u, rank.sample});
        for (int64_t i = 0; i < m; i++)
            assert_true(rank.sample[i] == (float)(i * rank.n / m));
        free_rank(&rank);
    }
}

static void a_clip_says_what_it_took(void **state)
{
    (void)state;
    struct rank rank = rank_with((float[]){0.5f, -0.75f, 0.25f, -0.25f, -0.0f, NAN}, 6);
    launch(SL_OP_threshold_clip, 6, &(struct sl_threshold_clip){rank.r, 0.25f, rank.lost});
    static const float want[] = {0.25f, -0.25f, 0.25f, -0.25f, -0.0f};
    assert_memory_equal(rank.r, want, sizeof want);
    assert_true(isnan(rank.r[5]));
    assert_true(rank.lost[0] == 0.25 + 0.5);
    free_rank(&rank);
}

/* One step of everything. */
static struct rank step_with(int with)
{
    struct rank rank = rank_of(5 * SL_THRESHOLD_CHUNK + 13);
    threads = with;
    for (int64_t i = 0; i < rank.n; i++) {
        rank.r[i] = number(1, i);
        rank.u[i] = number(2, i);
    }
    launch(SL_OP_threshold_sample, rank.n, &(struct sl_threshold_sample){rank.r, rank.u, rank.sample});
    encode(&rank, rank.u, 0.7f);
    decode(&rank, 0.7f, 3);
    launch(SL_OP_threshold_clip, rank.n, &(struct sl_threshold_clip){rank.r, 0.6f, rank.lost});
    threads = 1;
    return rank;
}

static void same_bits_for_any_number_of_threads(void **state)
{
    (void)state;
    struct rank one = step_with(1), seven = step_with(7);
    assert_int_equal(one.count, seven.count);
    assert_memory_equal(one.entries, seven.entries, (size_t)one.count * sizeof *one.entries);
    assert_memory_equal(one.offsets, seven.offsets, 7 * sizeof *one.offsets);
    assert_memory_equal(one.r, seven.r, (size_t)one.n * sizeof *one.r);
    assert_memory_equal(one.sum, seven.sum, (size_t)one.n * sizeof *one.sum);
    assert_memory_equal(one.sample, seven.sample, SL_THRESHOLD_SAMPLES * sizeof *one.sample);
    assert_memory_equal(one.lost, seven.lost, 6 * sizeof *one.lost);
    for (int64_t i = 1; i < one.count; i++)
        assert_true((one.entries[i - 1] & ~SL_THRESHOLD_NEGATIVE) < (one.entries[i] & ~SL_THRESHOLD_NEGATIVE));
    free_rank(&one);
    free_rank(&seven);
}

/* An entry has 31 bits for its index. */
static void no_row_takes_more_than_an_entry_can_name(void **state)
{
    (void)state;
    const struct sl_threshold most = {INT32_MAX, SL_ELEMENT_F32}, more = {INT64_C(1) << 31, SL_ELEMENT_F32},
                              none = {0, SL_ELEMENT_F32};
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        struct sl_need need;
        if (row->op < SL_OP_threshold_encode || row->op > SL_OP_threshold_clip || row->needs & ~sl_isa())
            continue;
        assert_true(sl_row_takes(row, row->op, &most, sl_isa(), &need));
        assert_false(sl_row_takes(row, row->op, &more, sl_isa(), &need));
        assert_false(sl_row_takes(row, row->op, &none, sl_isa(), &need));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_in_twenty),
        cmocka_unit_test(the_boundary_is_sent),
        cmocka_unit_test(one_quantum_an_element_and_decoding_adds),
        cmocka_unit_test(below_tau_nothing_moves_and_one_element_is_sent),
        cmocka_unit_test(a_thousand_ones),
        cmocka_unit_test(residual_and_decoded_are_the_original),
        cmocka_unit_test(nothing_is_lost_over_many_steps),
        cmocka_unit_test(parts_are_added_in_order_and_alike_ones_counted),
        cmocka_unit_test(a_sample_is_spread_evenly),
        cmocka_unit_test(a_clip_says_what_it_took),
        cmocka_unit_test(same_bits_for_any_number_of_threads),
        cmocka_unit_test(no_row_takes_more_than_an_entry_can_name),
    };
    int failures = 0;
    threads = 1;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        isa = isas[i];
        failures += cmocka_run_group_tests_name(sl_isa_text(isa & sl_isa()), tests, NULL, NULL);
    }
    return failures;
}
