/* Winograd's convolution as AVX-512: tiles of 6 x 64 channels, or 12 x 32. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/conv/conv_winograd.h"
