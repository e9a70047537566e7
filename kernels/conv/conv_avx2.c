/* The direct convolutions as AVX2 + FMA: 6 pixels x 16 channels. */
#include "kernels/simd/vec_avx2.h"

#define DIRECT(name) name##_avx2
/* A quarter of a second-level cache of 512 KiB. From there 64 bytes arrive in the 6 cycles of a step; to cut the
 * sum so that the first-level cache holds the weights costs more in visits of y. */
#define DIRECT_PANEL_BYTES (128 << 10)
#include "kernels/conv/conv_bias.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_direct_weights.h"
