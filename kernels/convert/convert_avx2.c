/* convert_vec.h with the vectors of AVX2. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/convert/convert_vec.h"
