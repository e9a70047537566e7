/* The emulated block itself: it computes what a GPU would, and finds the faults that are planted here. */
#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <vector>

extern "C" {
#include <cmocka.h>
}

#include "tests/cuda/dies.hpp"

namespace
{
constexpr int THREADS = 128;

/* ---- what is right ---- */

/* Every thread gives its number to the one opposite it. */
__global__ void reverse(const float *x, float *y)
{
    float *shared = sl_shared<float>();
    shared[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = shared[THREADS - 1 - threadIdx.x];
}

void test_barrier(void **)
{
    std::vector<float> x(THREADS), y(THREADS);
    for (int i = 0; i < THREADS; i++)
        x[i] = float(i);
    for (unsigned order = 0; order < SL_EMULATED_ORDERS; order++) {
        sl_emulated_set_order(order);
        sl_cuda_launch(reverse, dim3(1), dim3(THREADS), THREADS * sizeof(float), &nowhere, x.data(), y.data());
        for (int i = 0; i < THREADS; i++)
            assert_true(y[i] == x[THREADS - 1 - i]);
    }
}

__global__ void sum_block(const double *x, double *sums)
{
    const double sum = sl_block_sum(x[blockIdx.x * THREADS + threadIdx.x], sl_shared<double>());
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

void test_sums(void **)
{
    std::vector<double> x(3 * THREADS);
    for (size_t i = 0; i < x.size(); i++)
        x[i] = double(i);
    for (unsigned order = 0; order < SL_EMULATED_ORDERS; order++) {
        double sums[3] = {};
        sl_emulated_set_order(order);
        sl_cuda_launch(sum_block, dim3(3), dim3(THREADS), 32 * sizeof(double), &nowhere, x.data(), &sums[0]);
        for (int b = 0; b < 3; b++)
            assert_true(sums[b] == THREADS * (b * THREADS + (THREADS - 1) / 2.0));
    }
}

/* y (16 x 8) = a (16 x 16) * b (8 x 16, so that both are read along k), through shared memory and fragments. */
__global__ void multiply(const uint16_t *a, const uint16_t *b, float *y, bool transposed)
{
    uint16_t *sa = sl_shared<uint16_t>(), *sb = sa + 256;
    const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4;
    sl_copy_16(sa + lane * 8, a + lane * 8, 16);
    sl_copy_16(sb + lane * 8, b + lane * 8, 16);
    sl_copy_commit();
    sl_copy_wait<0>();
    __syncwarp();
    uint32_t fa[4], fb[4];
    sl_load_matrix_4(fa, sa + lane % 16 * 16 + lane / 16 * 8);
    if (transposed) /* b is [16][16], k first */
        sl_load_matrix_4_transposed(fb, sb + lane % 16 * 16 + lane / 16 * 8);
    else /* b is [16][16], k last */
        sl_load_matrix_4(fb, sb + (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
    float d[4] = {};
    sl_mma_bf16(d, fa, fb);
    for (int i = 0; i < 4; i++)
        y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

void test_products(void **)
{
    std::vector<uint16_t> a(256), b(256);
    std::vector<float> y(128);
    for (int i = 0; i < 256; i++) {
        a[size_t(i)] = sl_narrow(float(i % 7 - 3));
        b[size_t(i)] = sl_narrow(float(i % 5 - 2));
    }
    for (int transposed = 0; transposed < 2; transposed++) {
        sl_cuda_launch(multiply, dim3(1), dim3(32), 1024, &nowhere, a.data(), b.data(), y.data(), transposed == 1);
        for (int r = 0; r < 16; r++)
            for (int c = 0; c < 8; c++) {
                float want = 0;
                for (int k = 0; k < 16; k++)
                    want += sl_widen(a[size_t(r * 16 + k)]) * sl_widen(b[size_t(transposed ? k * 16 + c : c * 16 + k)]);
                assert_true(y[size_t(r * 8 + c)] == want);
            }
    }
}

/* y (16 x 8) = a (16 x 8) * b (8 x 8) in tf32. */
__global__ void multiply_tf32(const float *a, const float *b, float *y)
{
    const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4;
    uint32_t fa[4], fb[2];
    for (int i = 0; i < 4; i++)
        fa[i] = sl_to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
    for (int i = 0; i < 2; i++)
        fb[i] = sl_to_tf32(b[(t + i * 4) * 8 + g]);
    float d[4] = {};
    sl_mma_tf32(d, fa, fb);
    for (int i = 0; i < 4; i++)
        y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

void test_products_tf32(void **)
{
    std::vector<float> a(128), b(64), y(128);
    for (size_t i = 0; i < a.size(); i++)
        a[i] = float(int(i % 7) - 3) + 0x1p-13f; /* the last bit is lost */
    for (size_t i = 0; i < b.size(); i++)
        b[i] = float(int(i % 5) - 2);
    sl_cuda_launch(multiply_tf32, dim3(1), dim3(32), 0, &nowhere, a.data(), b.data(), y.data());
    for (size_t r = 0; r < 16; r++)
        for (size_t c = 0; c < 8; c++) {
            float want = 0;
            for (size_t k = 0; k < 8; k++)
                want += __uint_as_float(sl_to_tf32(a[r * 8 + k])) * b[k * 8 + c];
            assert_true(y[r * 8 + c] == want);
        }
    assert_true(__uint_as_float(sl_to_tf32(1.0f + 0x1p-11f)) == 1.0f + 0x1p-10f);
    assert_true(std::isinf(__uint_as_float(sl_to_tf32(INFINITY))));
}

/* ---- what is wrong ---- */

__global__ void without_barrier(const float *x, float *y)
{
    float *shared = sl_shared<float>();
    shared[threadIdx.x] = x[threadIdx.x];
    y[threadIdx.x] = shared[THREADS - 1 - threadIdx.x];
}

/* A missing barrier is not seen as such: in every order somebody reads before another has written. */
void test_missing_barrier(void **)
{
    std::vector<float> x(THREADS, 1.0f), y(THREADS);
    for (unsigned order = 0; order < SL_EMULATED_ORDERS; order++) {
        int wrong = 0;
        sl_emulated_set_order(order);
        sl_cuda_launch(without_barrier, dim3(1), dim3(THREADS), THREADS * sizeof(float), &nowhere, x.data(), y.data());
        for (float each : y)
            wrong += std::isnan(each);
        assert_true(wrong > 0);
    }
}

__global__ void read_before_wait(const float *x, float *y)
{
    float *shared = sl_shared<float>();
    sl_copy_16(shared + 4 * threadIdx.x, x + 4 * threadIdx.x, 16);
    sl_copy_commit();
    y[threadIdx.x] = shared[4 * threadIdx.x];
    sl_copy_wait<0>();
}

void test_read_before_wait(void **)
{
    std::vector<float> x(128, 1.0f), y(32, 1.0f);
    sl_cuda_launch(read_before_wait, dim3(1), dim3(32), 128 * sizeof(float), &nowhere, x.data(), y.data());
    for (float each : y)
        assert_true(std::isnan(each));
}

__global__ void diverging_barriers(float *)
{
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void diverging_lanes(float *y)
{
    if (threadIdx.x < 16)
        y[0] = __shfl_xor_sync(~0u, y[0], 1);
    else
        y[1] = __shfl_xor_sync(~0u, y[1], 1);
}

__global__ void waits_for_the_ended(float *y)
{
    if (threadIdx.x == 0)
        return;
    y[0] = __shfl_xor_sync(~0u, y[0], 1);
}

__global__ void forgets_to_wait(float *y)
{
    sl_copy_16(sl_shared<float>(), y, 16);
    sl_copy_commit();
}

__global__ void outside_its_mask(float *)
{
    __syncwarp(threadIdx.x < 16 ? 0xffffu : 0xffffu);
}

__global__ void does_nothing(float *)
{
}

void test_faults_are_named(void **)
{
    assert_dies(diverging_barriers, "barriers diverge");
    assert_dies(diverging_lanes, "lanes of a warp diverge");
    assert_dies(waits_for_the_ended, "deadlock");
    assert_dies(forgets_to_wait, "copies that nobody waited for");
    assert_dies(outside_its_mask, "is not in its own mask");
    assert_dies(does_nothing, "a launch of 1 x 65536 x 1 blocks", dim3(1, 65536));
    assert_dies(does_nothing, "a launch of 1 x 1 x 65536 blocks", dim3(1, 1, 65536));
    assert_dies(does_nothing, "a launch with 166913 bytes of shared memory", dim3(1), 166913);
    assert_dies(does_nothing, "a launch with 232449 bytes of shared memory", dim3(1), 232449);
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_barrier),          cmocka_unit_test(test_sums),
        cmocka_unit_test(test_products),         cmocka_unit_test(test_products_tf32),
        cmocka_unit_test(test_missing_barrier),  cmocka_unit_test(test_read_before_wait),
        cmocka_unit_test(test_faults_are_named),
    };
    return cmocka_run_group_tests_name("cuda_block", tests, NULL, NULL);
}
