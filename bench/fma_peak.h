// The roof of compute kernels, measured in the same process.
#ifndef SL_BENCH_FMA_PEAK_H
#define SL_BENCH_FMA_PEAK_H

// Single-precision GFLOP/s of `threads` threads that only multiply and add, in the widest vectors this machine has.
double fma_peak(int threads);
#endif
