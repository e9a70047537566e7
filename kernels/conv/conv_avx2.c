/* The direct convolutions as AVX2 + FMA: 6 pixels x 16 channels. */
#include "kernels/simd/vec_avx2.h"

#define DIRECT(name) name##_avx2
/* Half of the usual first-level cache. */
#define DIRECT_PANEL_BYTES (16 << 10)
#include "kernels/conv/conv_direct.h"
#include "kernels/conv/conv_direct_weights.h"
