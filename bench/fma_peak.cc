// Independent chains of fused multiply-adds: more of them than latency x ports.
#include "bench/fma_peak.h"

#include <immintrin.h>
#include <thread>
#include <vector>

#include "bench/turns.h"

namespace
{
constexpr int kChains = 12;
constexpr long kSteps = 1000000;

__attribute__((target("avx2,fma"))) float chains_avx2()
{
    __m256 a[kChains];
    const __m256 b = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(1e-3f);
    for (int i = 0; i < kChains; i++)
        a[i] = _mm256_set1_ps(static_cast<float>(i));
    for (long step = 0; step < kSteps; step++) {
#pragma GCC unroll 16
        for (int i = 0; i < kChains; i++)
            a[i] = _mm256_fmadd_ps(a[i], b, c);
    }
    for (int i = 1; i < kChains; i++)
        a[0] = _mm256_add_ps(a[0], a[i]);
    return _mm256_cvtss_f32(a[0]);
}

__attribute__((target("avx512f"))) float chains_avx512()
{
    __m512 a[kChains];
    const __m512 b = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < kChains; i++)
        a[i] = _mm512_set1_ps(static_cast<float>(i));
    for (long step = 0; step < kSteps; step++) {
#pragma GCC unroll 16
        for (int i = 0; i < kChains; i++)
            a[i] = _mm512_fmadd_ps(a[i], b, c);
    }
    for (int i = 1; i < kChains; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_cvtss_f32(a[0]);
}

__attribute__((target("avx512f,avx512bf16"))) float chains_bf16()
{
    __m512 a[kChains];
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80), tiny = (__m512bh)_mm512_set1_epi16(0x3000);
    for (int i = 0; i < kChains; i++)
        a[i] = _mm512_set1_ps(static_cast<float>(i));
    for (long step = 0; step < kSteps; step++) {
#pragma GCC unroll 16
        for (int i = 0; i < kChains; i++)
            a[i] = _mm512_dpbf16_ps(a[i], ones, tiny);
    }
    for (int i = 1; i < kChains; i++)
        a[0] = _mm512_add_ps(a[0], a[i]);
    return _mm512_cvtss_f32(a[0]);
}

volatile float sink;

// Of chains of `flops` a step.
double peak_of(int threads, float (*chains)(), double flops)
{
    const double s = seconds_of(threads, [threads, chains] {
        std::vector<std::thread> others;
        for (int i = 1; i < threads; i++)
            others.emplace_back([chains] { sink = chains(); });
        sink = chains();
        for (auto &other : others)
            other.join();
    });
    return flops * kSteps * kChains * threads / s * 1e-9;
}
} // namespace

double fma_peak(int threads, bool wide)
{
    if (wide ? !__builtin_cpu_supports("avx512f") : !__builtin_cpu_supports("fma"))
        return 0.0;
    return peak_of(threads, wide ? chains_avx512 : chains_avx2, wide ? 32.0 : 16.0);
}

double dot_peak(int threads)
{
    return __builtin_cpu_supports("avx512bf16") ? peak_of(threads, chains_bf16, 64.0) : 0.0;
}
