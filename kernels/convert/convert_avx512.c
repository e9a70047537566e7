/* convert_vec.h with the vectors of AVX-512. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/convert/convert_vec.h"
