/* Winograd's convolution as AVX2 + FMA, of activations in bf16. */
#include "kernels/simd/vec_avx2.h"

#define CONV_BF16
#include "kernels/conv/conv_winograd.h"
