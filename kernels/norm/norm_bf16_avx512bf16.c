/* Batch norm's passes that write pixels of bf16, with the vectors of AVX-512; the processor rounds. */
#include "kernels/simd/vec_avx512.h"

#undef V_NAME
#define V_NAME(name) name##_avx512bf16
#include "kernels/simd/element_bf16.h"

#include "kernels/norm/norm_pixels_vec.h"
