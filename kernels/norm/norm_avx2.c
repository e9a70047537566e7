/* The passes of batch norm with the vectors of AVX2. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/simd/element_f32.h"

#include "kernels/norm/norm_pixels_vec.h"
#include "kernels/norm/norm_sums_vec.h"
