/* The direct convolutions as AVX2 + FMA: 6 pixels x 16 channels. */
#include "kernels/simd/vec_avx2.h"

#define DIRECT(name) name##_avx2
/* A quarter of a second-level cache of 512 KiB. It delivers the 64 bytes of weights of a step in the 6 cycles that the
 * step takes. Pieces small enough for the first-level cache would be slower: between pieces the sums go to y and back.
 */
#define DIRECT_PIECE_BYTES (128 << 10)
#include "kernels/conv/conv_bias.h"
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_direct_bf16.h"
#include "kernels/conv/conv_direct_pool.h"
#include "kernels/conv/conv_direct_weights.h"
#include "kernels/conv/conv_direct_weights_bf16.h"
