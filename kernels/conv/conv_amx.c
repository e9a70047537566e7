/* The direct convolutions of bf16 on AMX. */
#include "kernels/simd/vec_avx512.h"

#define AMX(name) name##_bf16_amx
#include "kernels/conv/conv_amx.h"
#include "kernels/conv/conv_amx_weights.h"
