/* Winograd's backward-weights as AVX512-BF16, of activations and transformed values in bf16. */
#include "kernels/simd/vec_avx512.h"

#define CONV_BF16
#define WINOGRAD_DOT
#include "kernels/conv/conv_winograd_weights.h"
