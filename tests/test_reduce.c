/* Sums over 1, 2, 3 and 8 ranks: what they are, that they are the same everywhere, and what is refused. */
#include <math.h>
#include <time.h>

#include "comm/reduce.h"
#include "tests/flock.h"
#include "tests/strict_device.h"

enum { MOST_FLOATS = 5000, SUMS = 3 };

struct sums {
    int64_t n, bucket;
    enum sl_reduce_weights weights;
    int strict; /* the rank with a device that the host cannot read; -1: none */
    int odd;    /* the rank that puts its parts in another order; -1: none */
    int32_t samples[RANKS_MOST];
    float results[RANKS_MOST][SUMS][MOST_FLOATS];
    uint64_t sent[RANKS_MOST];
    int rc[RANKS_MOST];
    char text[RANKS_MOST][1024];
};

static float element(int rank, int sum, int64_t i)
{
    return flock_float((uint64_t)rank, (uint64_t)sum, (uint64_t)i);
}

static void strict_where_wanted(int rank, struct sl_device *device, void *self)
{
    const struct sums *sums = self;
    if (rank != sums->strict)
        return;
    device->close(device->self);
    strict_device_open(1, device);
}

/* As a backward pass does: from two ranges in turn, the end of each first. The ranks take their time. */
static int put_parts(const struct sums *sums, struct flock_rank *rank, struct sl_reduce *reduce, float *at, int sum)
{
    int rc = SL_OK;
    const int64_t middle = sums->n * 2 / 3;
    int64_t ends[2] = {middle, sums->n};
    const int64_t begins[2] = {0, middle};
    for (int turn = rank->number == sums->odd; ends[0] > begins[0] || ends[1] > begins[1]; turn++) {
        const int range = turn % 2;
        const int64_t left = ends[range] - begins[range];
        int64_t length = (int64_t)(flock_mix((uint64_t)sums->n, (uint64_t)turn, (uint64_t)sum) % 300);
        length = length < left ? length : left;
        ends[range] -= length;
        SL_TRY(sl_reduce_put(reduce, (struct sl_span){at + ends[range], (size_t)length}));
        nanosleep(&(struct timespec){.tv_nsec = (long)(flock_mix((uint64_t)rank->number, (uint64_t)turn, 1) % 50000)},
                  NULL);
    }
    SL_TRY(sl_reduce_finish(reduce));
out:
    return rc;
}

static void add_up(struct flock_rank *rank, void *self)
{
    int rc = SL_OK;
    struct sums *sums = self;
    struct sl_reduce *reduce = NULL;
    float *host = malloc(MOST_FLOATS * sizeof *host), *at = flock_alloc(&rank->device, (size_t)sums->n);
    const struct sl_reduce_options options = {rank->comm, &rank->device, sums->n, sums->bucket};
    const int32_t samples = sums->samples[rank->number];
    CHECK(sl_reduce_open(&options, &reduce) == SL_OK);
    const uint64_t before = sl_comm_bytes_sent(rank->comm);
    for (int sum = 0; rc == SL_OK && sum < SUMS; sum++) {
        for (int64_t i = 0; i < sums->n; i++)
            host[i] = sums->weights == SL_REDUCE_SAMPLES && samples == 0 ? NAN : element(rank->number, sum, i);
        flock_copy(&rank->device, at, host, (size_t)sums->n);
        sl_reduce_begin(reduce, sums->weights, samples);
        rc = put_parts(sums, rank, reduce, at, sum);
        flock_copy(&rank->device, sums->results[rank->number][sum], at, (size_t)sums->n);
    }
    sums->sent[rank->number] = sl_comm_bytes_sent(rank->comm) - before;
    sums->rc[rank->number] = rc;
    snprintf(sums->text[rank->number], sizeof *sums->text, "%s", rc == SL_OK ? "" : sl_last_error());
    sl_reduce_close(reduce);
    rank->device.free(rank->device.self, at);
    free(host);
}

static double weight_of(const struct sums *sums, int rank, int size)
{
    double total = 0.0;
    for (int i = 0; i < size; i++)
        total += sums->samples[i];
    return sums->weights == SL_REDUCE_SUM    ? 1.0
           : sums->weights == SL_REDUCE_MEAN ? 1.0 / size
                                             : sums->samples[rank] / total;
}

static void check_element(const struct sums *sums, int size, int sum, int64_t i)
{
    double exact = 0.0, magnitude = 0.0;
    for (int r = 0; r < size; r++) {
        const double weight = weight_of(sums, r, size), term = weight > 0.0 ? weight * element(r, sum, i) : 0.0;
        exact += term;
        magnitude += fabs(term);
    }
    const double error = fabs(sums->results[0][sum][i] - exact);
    if (!(error <= (size + 2) * 0x1p-24 * magnitude))
        fail_msg("%d ranks, n %lld, bucket %lld, sum %d: [%lld] is %.9g, not %.9g", size, (long long)sums->n,
                 (long long)sums->bucket, sum, (long long)i, (double)sums->results[0][sum][i], exact);
}

static void assert_sums(struct sums *sums, int size)
{
    flock_fly(size, (struct flock){.body = add_up, .self = sums, .device = strict_where_wanted});
    for (int r = 0; r < size; r++) {
        assert_int_equal(sums->rc[r], SL_OK);
        for (int sum = 0; sum < SUMS; sum++)
            assert_memory_equal(sums->results[r][sum], sums->results[0][sum], (size_t)sums->n * sizeof(float));
    }
    for (int sum = 0; sum < SUMS; sum++)
        for (int64_t i = 0; i < sums->n; i++)
            check_element(sums, size, sum, i);
}

static struct sums *new_sums(enum sl_reduce_weights weights)
{
    static const int32_t samples[RANKS_MOST] = {32, 0, 7, 32, 1, 0, 0, 31};
    struct sums *sums = calloc(1, sizeof *sums);
    assert_non_null(sums);
    sums->weights = weights;
    sums->strict = sums->odd = -1;
    memcpy(sums->samples, samples, sizeof samples);
    return sums;
}

/* Fewer floats than ranks, one bucket and many, whole and broken ones. */
static void sums_are_right_and_the_same_everywhere(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 3, 8};
    static const struct {
        int64_t n, bucket;
    } cases[] = {{1, 16}, {5, 16}, {64, 16}, {1000, 64}, {1001, 256}, {4999, 1024}, {MOST_FLOATS, 0}};
    for (int weights = SL_REDUCE_SUM; weights <= SL_REDUCE_SAMPLES; weights++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
                struct sums *sums = new_sums((enum sl_reduce_weights)weights);
                sums->n = cases[c].n;
                sums->bucket = cases[c].bucket;
                if (sizes[s] > 1 || weights != SL_REDUCE_SAMPLES)
                    sums->strict = (int)c % 2 ? sizes[s] - 1 : -1;
                assert_sums(sums, sizes[s]);
                free(sums);
            }
}

/* Where nobody has samples there is nothing to share. */
static void no_samples_at_all_are_zeros(void **state)
{
    (void)state;
    struct sums *sums = new_sums(SL_REDUCE_SAMPLES);
    memset(sums->samples, 0, sizeof sums->samples);
    sums->n = 100;
    sums->bucket = 32;
    flock_fly(3, (struct flock){.body = add_up, .self = sums});
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 100; i++)
            assert_true(sums->results[r][0][i] == 0.0f);
    free(sums);
}

static void a_rank_sends_what_a_ring_would(void **state)
{
    (void)state;
    struct sums *sums = new_sums(SL_REDUCE_MEAN);
    sums->n = 4096;
    sums->bucket = 1024;
    assert_sums(sums, 4);
    for (int r = 0; r < 4; r++)
        assert_int_equal(sums->sent[r], SUMS * (2 * 3 * 4096 * 4 / 4 + 4 * 3 * 64));
    free(sums);
}

static void another_order_is_refused(void **state)
{
    (void)state;
    struct sums *sums = new_sums(SL_REDUCE_MEAN);
    sums->n = 900;
    sums->bucket = 1024;
    sums->odd = 1;
    flock_fly(3, (struct flock){.body = add_up, .self = sums});
    for (int r = 0; r < 3; r++) {
        assert_int_equal(sums->rc[r], SL_DISAGREE);
        const char *wanted = r == 1 ? "rank 0 on" : "rank 1 on";
        assert_memory_equal(sums->text[r], wanted, strlen(wanted));
        assert_non_null(strstr(sums->text[r], "sums other parameters"));
    }
    free(sums);
}

/* ---- a wire that damages what one rank sends ---- */

struct damage {
    struct sums *sums;
    size_t at;
    unsigned char bits;
};

struct bad_wire {
    struct sl_wire inner;
    const struct damage *damage;
    char rows[1 << 16];
};

static struct bad_wire bad_wires[RANKS_MOST];

static int bad_all_to_all(void *self, const void *send, void *receive, size_t bytes, struct sl_request **request)
{
    struct bad_wire *bad = self;
    memcpy(bad->rows, send, bytes * (size_t)bad->inner.size);
    if (bad->inner.rank == 2)
        for (int i = 0; i < bad->inner.size; i++)
            bad->rows[(size_t)i * bytes + bad->damage->at] ^= (char)bad->damage->bits;
    return bad->inner.all_to_all(bad->inner.self, bad->rows, receive, bytes, request);
}

static int pass_gather(void *self, const void *mine, void *all, const size_t *bytes, struct sl_request **request)
{
    struct bad_wire *bad = self;
    return bad->inner.all_gather(bad->inner.self, mine, all, bytes, request);
}

static int pass_test(void *self, struct sl_request *request, bool *done)
{
    struct bad_wire *bad = self;
    return bad->inner.test(bad->inner.self, request, done);
}

static int pass_hosts(void *self, int *hosts)
{
    struct bad_wire *bad = self;
    return bad->inner.hosts(bad->inner.self, hosts);
}

static int pass_tell(void *self, const struct sl_beat *mine)
{
    struct bad_wire *bad = self;
    return bad->inner.tell(bad->inner.self, mine);
}

static int pass_hear(void *self, struct sl_beat *all)
{
    struct bad_wire *bad = self;
    return bad->inner.hear(bad->inner.self, all);
}

static void pass_abort(void *self, int code)
{
    struct bad_wire *bad = self;
    bad->inner.abort(bad->inner.self, code);
}

static void pass_close(void *self)
{
    struct bad_wire *bad = self;
    bad->inner.close(bad->inner.self);
}

static void damage_wire(struct sl_wire *wire, void *self)
{
    struct bad_wire *bad = &bad_wires[wire->rank];
    bad->inner = *wire;
    bad->damage = self;
    *wire = (struct sl_wire){wire->name, wire->rank, wire->size, bad,       bad_all_to_all, pass_gather,
                             pass_test,  pass_hosts, pass_tell,  pass_hear, pass_abort,     pass_close};
}

static void add_up_damaged(struct flock_rank *rank, void *self)
{
    add_up(rank, ((struct damage *)self)->sums);
}

static void a_damaged_header_is_refused(void **state)
{
    (void)state;
    static const struct damage damages[] = {{.at = 0, .bits = 1},  {.at = 8, .bits = 1},  {.at = 16, .bits = 4},
                                            {.at = 24, .bits = 1}, {.at = 39, .bits = 1}, {.at = 40, .bits = 3},
                                            {.at = 44, .bits = 1}, {.at = 55, .bits = 1}, {.at = 63, .bits = 1}};
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct damage damage = damages[i];
        damage.sums = new_sums(SL_REDUCE_MEAN);
        damage.sums->n = 500;
        damage.sums->bucket = 512;
        flock_fly(3, (struct flock){.body = add_up_damaged, .self = &damage, .wire = damage_wire});
        for (int r = 0; r < 3; r++) {
            assert_true(damage.sums->rc[r] == SL_IO || damage.sums->rc[r] == SL_DISAGREE);
            assert_non_null(strstr(damage.sums->text[r], "rank 2 on "));
        }
        free(damage.sums);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_right_and_the_same_everywhere),
        cmocka_unit_test(no_samples_at_all_are_zeros),
        cmocka_unit_test(a_rank_sends_what_a_ring_would),
        cmocka_unit_test(another_order_is_refused),
        cmocka_unit_test(a_damaged_header_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
