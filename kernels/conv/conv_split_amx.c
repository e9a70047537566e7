/* The direct convolutions of floats on AMX, each float in two parts of bf16. */
#define AMX_SPLIT
#include "kernels/simd/vec_avx512.h"

#include "kernels/conv/conv_amx.h"
#include "kernels/conv/conv_amx_pool.h"
#include "kernels/conv/conv_amx_weights.h"
