/* The direct convolutions of bf16 on AMX. */
#include "kernels/simd/vec_avx512.h"

#include "kernels/conv/conv_amx.h"
#include "kernels/conv/conv_amx_pool.h"
#include "kernels/conv/conv_amx_weights.h"
