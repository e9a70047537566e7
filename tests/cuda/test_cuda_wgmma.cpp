/* Products of warpgroups in the emulated block: they compute what a GPU would, when they are waited for and no sooner,
 * and the faults that are planted here are found. */
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
constexpr int THREADS = 128, ROWS = 64, LINE = 128;

/* Bytes of a tile of `rows` rows (or columns), and where a term of one lies. */
constexpr int tile_bytes(bool columns, int rows, int terms)
{
    return columns ? rows / 64 * terms * LINE : rows * LINE;
}

int place(bool columns, int terms, int element, int row, int term)
{
    const int at = columns ? row / 64 * terms * LINE + term * LINE + row % 64 * element : row * LINE + term * element;
    return at ^ (at >> 7 & 7) << 4;
}

/* One product from tiles that lie ready; `early`: the tiles are overwritten before it was waited for. */
template <enum sl_wgmma_kind KIND, int N>
__global__ void multiply(const unsigned char *a, int a_bytes, const unsigned char *b, int b_bytes, uint32_t apart,
                         float *y, bool early)
{
    unsigned char *to = sl_shared<unsigned char>();
    const int a_room = (a_bytes + 1023) / 1024 * 1024;
    for (int i = (int)threadIdx.x; i < a_bytes; i += THREADS)
        to[i] = a[i];
    for (int i = (int)threadIdx.x; i < b_bytes; i += THREADS)
        to[a_room + i] = b[i];
    sl_shared_fence();
    __syncthreads();
    float d[N / 2];
    sl_wgmma_begin();
    sl_wgmma<KIND, N>(d, to, to + a_room, apart, false);
    sl_wgmma<KIND, N>(d, to, to + a_room, apart, true);
    sl_wgmma_commit();
    if (early) {
        __syncthreads();
        to[threadIdx.x] = 0xff;
    }
    sl_wgmma_wait<0>();
    const int warp = (int)threadIdx.x / 32, lane = (int)threadIdx.x % 32;
    for (int j = 0; j < N / 2; j++)
        y[(warp * 16 + lane / 4 + j / 2 % 2 * 8) * N + j / 4 * 8 + lane % 4 * 2 + j % 2] = d[j];
}

struct operand {
    std::vector<unsigned char> tile;
    std::vector<float> value; /* [rows][terms] */
};

struct operand operand_of(bool columns, int rows, int terms, int element, int seed)
{
    struct operand o = {std::vector<unsigned char>(size_t(tile_bytes(columns, rows, terms))),
                        std::vector<float>(size_t(rows * terms))};
    for (int row = 0; row < rows; row++)
        for (int term = 0; term < terms; term++) {
            const float v = float((row * 5 + term * 3 + seed) % 11 - 5);
            const uint32_t bits = __float_as_uint(v);
            const uint16_t half = sl_narrow(v);
            memcpy(&o.tile[size_t(place(columns, terms, element, row, term))],
                   element == 2 ? static_cast<const void *>(&half) : &bits, size_t(element));
            o.value[size_t(row * terms + term)] = v;
        }
    return o;
}

template <enum sl_wgmma_kind KIND, int N> bool is_right(bool early)
{
    constexpr bool COLUMNS = KIND == SL_WGMMA_BF16_COLUMNS;
    constexpr int ELEMENT = KIND == SL_WGMMA_TF32_ROWS ? 4 : 2, TERMS = 32 / ELEMENT;
    const struct operand a = operand_of(COLUMNS, ROWS, TERMS, ELEMENT, 1),
                         b = operand_of(COLUMNS, N, TERMS, ELEMENT, 2);
    std::vector<float> y(size_t(ROWS) * N);
    sl_cuda_launch(multiply<KIND, N>, dim3(1), dim3(THREADS), 32 << 10, &nowhere, a.tile.data(), int(a.tile.size()),
                   b.tile.data(), int(b.tile.size()), uint32_t(TERMS * LINE), y.data(), early);
    for (int row = 0; row < ROWS; row++)
        for (int column = 0; column < N; column++) {
            float want = 0.0f;
            for (int k = 0; k < TERMS; k++)
                want += 2.0f * a.value[size_t(row * TERMS + k)] * b.value[size_t(column * TERMS + k)];
            if (y[size_t(row * N + column)] != want)
                return false;
        }
    return true;
}

void test_products(void **)
{
    for (unsigned order = 0; order < SL_EMULATED_ORDERS; order++) {
        sl_emulated_set_order(order);
        assert_true((is_right<SL_WGMMA_BF16_ROWS, 64>(false)));
        assert_true((is_right<SL_WGMMA_BF16_ROWS, 128>(false)));
        assert_true((is_right<SL_WGMMA_TF32_ROWS, 64>(false)));
        assert_true((is_right<SL_WGMMA_TF32_ROWS, 128>(false)));
        assert_true((is_right<SL_WGMMA_BF16_COLUMNS, 64>(false)));
        assert_true((is_right<SL_WGMMA_BF16_COLUMNS, 128>(false)));
    }
}

void test_tiles_overwritten_early(void **)
{
    for (unsigned order = 0; order < SL_EMULATED_ORDERS; order++) {
        sl_emulated_set_order(order);
        assert_false((is_right<SL_WGMMA_BF16_ROWS, 64>(true)));
    }
}

/* tf32 is what is left when the last 13 bits are cut off. */
void test_tf32_is_cut(void **)
{
    struct operand a = operand_of(false, ROWS, 8, 4, 1), b = operand_of(false, 64, 8, 4, 2);
    const float almost_two = std::nextafter(2.0f, 0.0f), one = 1.0f;
    std::vector<float> y(ROWS * 64);
    for (int term = 0; term < 8; term++) {
        memcpy(&a.tile[size_t(place(false, 8, 4, 0, term))], &almost_two, 4);
        memcpy(&b.tile[size_t(place(false, 8, 4, 0, term))], &one, 4);
    }
    sl_cuda_launch(multiply<SL_WGMMA_TF32_ROWS, 64>, dim3(1), dim3(THREADS), 32 << 10, &nowhere, a.tile.data(),
                   int(a.tile.size()), b.tile.data(), int(b.tile.size()), 0u, y.data(), false);
    assert_true(y[0] == 16.0f * (2.0f - 0x1p-10f));
}

template <int WAIT> __global__ void starts(float *y)
{
    float d[32];
    sl_wgmma<SL_WGMMA_BF16_ROWS, 64>(d, sl_shared<float>(), sl_shared<float>(), 0, false);
    sl_wgmma_commit();
    if (WAIT)
        sl_wgmma_wait<0>();
    y[0] = d[0];
}

void test_faults_are_named(void **)
{
    assert_dies(starts<0>, "products that nobody waited for", dim3(1), 16 << 10, 128);
    assert_dies(starts<1>, "a warpgroup's product in a block of 64 threads", dim3(1), 16 << 10, 64);
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_tiles_overwritten_early),
        cmocka_unit_test(test_tf32_is_cut),
        cmocka_unit_test(test_faults_are_named),
    };
    return cmocka_run_group_tests_name("cuda_wgmma", tests, NULL, NULL);
}
