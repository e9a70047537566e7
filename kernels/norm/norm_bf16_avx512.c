/* The passes of batch norm with the vectors of AVX-512, of bf16. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/element_bf16.h"

#include "kernels/norm/norm_pixels_vec.h"
#include "kernels/norm/norm_sums_vec.h"
