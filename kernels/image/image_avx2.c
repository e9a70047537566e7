/* image_vec.h with the vectors of AVX2. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/simd/element_f32.h"

#include "kernels/image/image_vec.h"
