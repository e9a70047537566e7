/* activation_vec.h with the vectors of AVX-512, of bf16. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/element_bf16.h"

#include "kernels/activation/activation_vec.h"
