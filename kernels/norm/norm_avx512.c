/* The passes of batch norm with the vectors of AVX-512. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/simd/element_f32.h"

#include "kernels/norm/norm_pixels_vec.h"
#include "kernels/norm/norm_sums_vec.h"
