/* Winograd's backward-weights as AVX2 + FMA: tiles of 6 or 5 x 16 channels. */
#include "kernels/simd/vec_avx2.h"

#include "kernels/conv/conv_winograd_weights.h"
