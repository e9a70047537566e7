/* softmax_vec.h with the vectors of AVX-512. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/element_f32.h"

#include "kernels/softmax/softmax_vec.h"
