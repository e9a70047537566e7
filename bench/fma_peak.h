// The roof of compute kernels, measured in the same process.
#ifndef SL_BENCH_FMA_PEAK_H
#define SL_BENCH_FMA_PEAK_H

// Single-precision GFLOP/s of `threads` threads that only multiply and add, with the vectors of AVX-512 (`wide`) or of
// AVX2. 0: this machine has none.
double fma_peak(int threads, bool wide);

// The same of products of pairs in bf16 (VDPBF16PS).
double dot_peak(int threads);
#endif
