/* Winograd's convolution as AVX512-BF16, of activations and transformed values in bf16: tiles of 6 x 64 channels, or
 * 12 x 32. */
#include "kernels/simd/vec_avx512.h"

#define CONV_BF16
#define WINOGRAD_DOT
#include "kernels/conv/conv_winograd.h"
