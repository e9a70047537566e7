/* From floats to bf16 on a GPU: bound by memory. */
#include "kernels/convert/convert.h"
#include "kernels/cuda/cuda.cuh"
#include "kernels/elementwise/flat.h"
#include "kernels/kernels.h"

constexpr int THREADS = 256;

template <class FROM, class TO>
static __global__ void __launch_bounds__(THREADS) convert(int64_t n, const FROM *x, TO *y)
{
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += (int64_t)gridDim.x * THREADS)
        sl_write(y + i, sl_read(x + i));
}

template <class FROM, class TO> static void run(const void *shape, const FROM *x, TO *y, const struct sl_work *work)
{
    const int64_t n = static_cast<const struct sl_flat *>(shape)->n;
    sl_cuda_launch(convert<FROM, TO>, dim3(sl_cuda_blocks(n, 4 * THREADS)), dim3(THREADS), 0, work, n, x, y);
}

static void to_bf16(const void *shape, const void *args, const struct sl_work *work)
{
    const auto *t = static_cast<const struct sl_to_bf16 *>(args);
    run(shape, t->x, t->y, work);
}

const struct sl_kernel sl_to_bf16_cuda = {.need = sl_flat_need, .run = to_bf16};
