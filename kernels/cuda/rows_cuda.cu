/* The rows of a CUDA device, best of each operation first, as kernels.def lists them. */
#include "kernels/cuda/rows.h"

#define SL_KERNEL(op, how, needs)
#define SL_CUDA_KERNEL(op, how, needs) {SL_OP_##op, #how, "sl_" #op "_" #how, (needs), &sl_##op##_##how},
const struct sl_kernel_row sl_cuda_rows[] = {
#include "kernels/kernels.def"
};
#undef SL_KERNEL
const size_t sl_cuda_row_count = sizeof sl_cuda_rows / sizeof *sl_cuda_rows;

static const char *const operations[SL_OP_COUNT] = {
#define SL_OP(op, shape, args) #op,
#include "kernels/ops.def"
#undef SL_OP
};

const char *sl_cuda_missing_operation(const struct sl_kernel_row *rows, size_t count, uint32_t isa)
{
    for (int op = 0; op < SL_OP_COUNT; op++) {
        bool there = false;
        for (size_t i = 0; i < count; i++)
            there |= rows[i].op == op && !(rows[i].needs & ~isa);
        if (!there)
            return operations[op];
    }
    return nullptr;
}
