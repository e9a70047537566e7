/* Winograd's convolution as AVX2 + FMA: tiles of 6 x 16 channels. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/conv/conv_winograd.h"
