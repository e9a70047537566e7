/* The direct convolutions as AVX-512: 6 pixels x 64 channels, or 12 x 32; backward-weights 14 x 32. */
#include "kernels/simd/vec_avx512.h"

#define DIRECT(name) name##_avx512
/* A quarter of a second-level cache of 1 MiB. */
#define DIRECT_PIECE_BYTES (256 << 10)
#include "kernels/conv/conv_bias.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_direct_bf16.h"
#include "kernels/conv/conv_direct_pool.h"
#include "kernels/conv/conv_direct_weights.h"
#include "kernels/conv/conv_direct_weights_bf16.h"
