/* Winograd's backward-weights as AVX-512, of activations in bf16. */
#include "kernels/simd/vec_avx512.h"

#define CONV_BF16
#include "kernels/conv/conv_winograd_weights.h"
