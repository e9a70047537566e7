/* softmax_vec.h with the vectors of AVX2, of bf16. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/simd/element_bf16.h"

#include "kernels/softmax/softmax_vec.h"
