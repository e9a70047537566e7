/* Winograd's backward-weights as AVX-512: tiles of 6 or 5 x 64 channels, 8 x 32, or 16 x 16. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/conv/conv_winograd_weights.h"
