/* What CUDA C cannot say: inline PTX behind names, each with a twin in plain C++ for the emulated block. Nowhere else
 * is there any assembly. Sources: the PTX ISA, chapters on cp.async, ldmatrix, mma, wgmma and cvt. */
#ifndef SL_KERNELS_CUDA_PTX_CUH
#define SL_KERNELS_CUDA_PTX_CUH

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "kernels/cuda/emulated.cuh"
#endif
#include <stdint.h>

#ifdef __CUDACC__
/* The address of shared memory as instructions want it. */
__device__ __forceinline__ uint32_t sl_shared_address(const void *at)
{
    return (uint32_t)__cvta_generic_to_shared(at);
}
#endif

/* ---- asynchronous copies into shared memory (cp.async, sm_80) ---- */

/* 16 bytes, both sides aligned to them: the first `valid` are copied, the others become zero. Nothing is read where
 * `valid` is 0. They are there after sl_copy_wait, for the thread that started them; for others after a barrier too. */
__device__ __forceinline__ void sl_copy_16(void *shared, const void *from, uint32_t valid)
{
#ifdef __CUDACC__
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(sl_shared_address(shared)), "l"(from), "r"(valid)
                 : "memory");
#else
    emulated::start_copy(shared, from, 16, valid);
#endif
}

/* The copies since the last commit become a group. */
__device__ __forceinline__ void sl_copy_commit()
{
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulated::commit_copies();
#endif
}

/* Waits for all groups of this thread but the LATER newest. */
template <int LATER> __device__ __forceinline__ void sl_copy_wait()
{
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory");
#else
    emulated::wait_copies(LATER);
#endif
}

/* ---- fragments of matrices (ldmatrix, sm_75) ---- */

/* Four 8 x 8 matrices of 2-byte elements. Lane l brings the address of row l % 8 of matrix l / 8: 16 bytes, aligned.
 * Afterwards lane l holds, of each matrix, elements 2*(l % 4) and + 1 of row l / 4. */
__device__ __forceinline__ void sl_load_matrix_4(uint32_t r[4], const void *row)
{
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(sl_shared_address(row))
                 : "memory");
#else
    struct lane {
        const void *row;
        uint32_t *r;
    } mine = {row, r};
    emulated::meet(
        ~0u, &mine,
        [](void *const lanes[32]) {
            for (int m = 0; m < 4; m++)
                for (int l = 0; l < 32; l++)
                    memcpy(&static_cast<lane *>(lanes[l])->r[m],
                           static_cast<const char *>(static_cast<lane *>(lanes[8 * m + l / 4])->row) + l % 4 * 4, 4);
        },
        __FILE__, __LINE__);
#endif
}

/* The same, each matrix transposed: lane l holds elements l / 4 of rows 2*(l % 4) and + 1. */
__device__ __forceinline__ void sl_load_matrix_4_transposed(uint32_t r[4], const void *row)
{
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(sl_shared_address(row))
                 : "memory");
#else
    struct lane {
        const void *row;
        uint32_t *r;
    } mine = {row, r};
    emulated::meet(
        ~0u, &mine,
        [](void *const lanes[32]) {
            for (int m = 0; m < 4; m++)
                for (int l = 0; l < 32; l++) {
                    uint16_t pair[2];
                    for (int i = 0; i < 2; i++)
                        memcpy(&pair[i],
                               static_cast<const char *>(static_cast<lane *>(lanes[8 * m + 2 * (l % 4) + i])->row) +
                                   l / 4 * 2,
                               2);
                    memcpy(&static_cast<lane *>(lanes[l])->r[m], pair, 4);
                }
        },
        __FILE__, __LINE__);
#endif
}

/* ---- products of matrices on tensor cores (mma, sm_80) ---- */

#ifndef __CUDACC__
namespace emulated
{
/* Element e of a register that holds EACH of them: of two bf16, or the only tf32, whose last bits do not count. */
template <int EACH> float element_of(uint32_t bits, int e)
{
    return __uint_as_float(EACH == 2 ? bits >> 16 * e << 16 : bits & 0xffffe000u);
}

/* d (16 x 8) += a (16 x 8*EACH) * b (8*EACH x 8): what sl_mma_bf16 and sl_mma_tf32 say, one for 2 and one for 1. */
template <int EACH> void multiply(float d[4], const uint32_t a[4], const uint32_t b[2], const char *file, int line)
{
    struct lane {
        float *d;
        const uint32_t *a, *b;
    } mine = {d, a, b};
    meet(
        ~0u, &mine,
        [](void *const lanes[32]) {
            float rows[16][8 * EACH], columns[8 * EACH][8];
            for (int l = 0; l < 32; l++) {
                const lane *from = static_cast<lane *>(lanes[l]);
                const int g = l / 4, t = l % 4;
                for (int r = 0; r < 4; r++)
                    for (int e = 0; e < EACH; e++)
                        rows[g + r % 2 * 8][(t + r / 2 * 4) * EACH + e] = element_of<EACH>(from->a[r], e);
                for (int r = 0; r < 2; r++)
                    for (int e = 0; e < EACH; e++)
                        columns[(t + r * 4) * EACH + e][g] = element_of<EACH>(from->b[r], e);
            }
            for (int l = 0; l < 32; l++)
                for (int i = 0; i < 4; i++)
                    for (int k = 0; k < 8 * EACH; k++)
                        static_cast<lane *>(lanes[l])->d[i] +=
                            rows[l / 4 + i / 2 * 8][k] * columns[k][2 * (l % 4) + i % 2];
        },
        file, line);
}
} // namespace emulated
#endif

/* d (16 x 8, fp32) += a (16 x 16, bf16) * b (16 x 8, bf16). Lane l = 4*g + t holds
 *   a: rows g and g + 8 (a[i], i odd), columns 2t, 2t + 1 and, i >= 2, 2t + 8, 2t + 9
 *   b: of column g, rows 2t, 2t + 1 and, b[1], 2t + 8, 2t + 9
 *   d: rows g and, d[2] and d[3], g + 8; columns 2t, 2t + 1 */
__device__ __forceinline__ void sl_mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#ifdef __CUDACC__
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated::multiply<2>(d, a, b, __FILE__, __LINE__);
#endif
}

/* d (16 x 8, fp32) += a (16 x 8, tf32) * b (8 x 8, tf32). Lane l = 4*g + t holds
 *   a: rows g and g + 8 (a[i], i odd), columns t and, i >= 2, t + 4;  b: of column g, rows t and, b[1], t + 4;  d as
 * above */
__device__ __forceinline__ void sl_mma_tf32(float d[4], const uint32_t a[4], const uint32_t b[2])
{
#ifdef __CUDACC__
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulated::multiply<1>(d, a, b, __FILE__, __LINE__);
#endif
}

/* ---- products of a warpgroup, from shared memory (wgmma, sm_90a) ---- */

/* Four warps, which begin at a multiple of four, multiply tiles that lie in shared memory; every thread of them calls.
 *
 * Tiles are of lines of 128 bytes and begin at a multiple of 1024; chunk q of line l lies where q ^ l % 8 would.
 *   rows: line l is row l of a, or column l of b, and a product adds 32 bytes of each: 16 bf16 or 8 tf32
 *   columns: line l is term l of the sum, of 64 rows of a (or columns of b); 16 lines are added; the next 64 rows or
 *            columns lie `apart` bytes further
 * d (64 x N) = a * b, or += where `add`: warp w % 4 has 16 rows of it, and lane 4*g + t, for each 8 columns, rows g and
 * (d[2], d[3]) g + 8 of columns 2t, 2t + 1.
 *
 * Order: what was written to shared memory is made visible (sl_shared_fence) before a barrier; sl_wgmma_begin;
 * products; sl_wgmma_commit; and after sl_wgmma_wait d may be read and the tiles overwritten. */
enum sl_wgmma_kind { SL_WGMMA_BF16_ROWS, SL_WGMMA_TF32_ROWS, SL_WGMMA_BF16_COLUMNS };

#ifdef __CUDACC__
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SL_WGMMA_ASM(text) asm volatile(text ::: "memory")
#else
#define SL_WGMMA_ASM(text) __trap() /* no row that comes here runs on such a device */
#endif

/* A tile as wgmma takes it: bytes between 64 rows or columns, 1024 between 8 lines, 128-byte swizzle. */
__device__ __forceinline__ uint64_t sl_wgmma_tile(const void *at, uint32_t apart)
{
    return (sl_shared_address(at) & 0x3ffff) >> 4 | (uint64_t)(apart >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 |
           (uint64_t)1 << 62;
}

#define SL_SUMS_32                                            \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15," \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}"
#define SL_SUMS_64                                                     \
    "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"          \
    "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31," \
    "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47," \
    "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}"
#define SL_SUMS_OF_4(d, i) "+f"((d)[i]), "+f"((d)[(i) + 1]), "+f"((d)[(i) + 2]), "+f"((d)[(i) + 3])
#define SL_SUMS_OF_16(d, i) \
    SL_SUMS_OF_4(d, i), SL_SUMS_OF_4(d, (i) + 4), SL_SUMS_OF_4(d, (i) + 8), SL_SUMS_OF_4(d, (i) + 12)
#define SL_SUMS_OF_32(d) SL_SUMS_OF_16(d, 0), SL_SUMS_OF_16(d, 16)
#define SL_SUMS_OF_64(d) SL_SUMS_OF_32(d), SL_SUMS_OF_16(d, 32), SL_SUMS_OF_16(d, 48)

/* The product into so many sums of a thread: its shape, and whether tiles are of columns. */
#define SL_WGMMA_32(shape, tail)                                                                             \
    asm volatile("{.reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned." shape " " SL_SUMS_32 \
                 ", %32, %33, p, 1, 1" tail ";}"                                                               \
                 : SL_SUMS_OF_32(d)                                                                           \
                 : "l"(tile_a), "l"(tile_b), "r"((int)add))
#define SL_WGMMA_64(shape, tail)                                                                             \
    asm volatile("{.reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned." shape " " SL_SUMS_64 \
                 ", %64, %65, p, 1, 1" tail ";}"                                                               \
                 : SL_SUMS_OF_64(d)                                                                           \
                 : "l"(tile_a), "l"(tile_b), "r"((int)add))
#endif

/* Before the first product, and after d was touched. */
__device__ __forceinline__ void sl_wgmma_begin()
{
#ifdef __CUDACC__
    SL_WGMMA_ASM("wgmma.fence.sync.aligned;");
#endif
}

/* The products since the last commit become a group. */
__device__ __forceinline__ void sl_wgmma_commit()
{
#ifdef __CUDACC__
    SL_WGMMA_ASM("wgmma.commit_group.sync.aligned;");
#else
    emulated::commit_products();
#endif
}

/* Waits for all groups but the LATER newest. */
template <int LATER> __device__ __forceinline__ void sl_wgmma_wait()
{
#ifndef __CUDACC__
    emulated::wait_products(LATER);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(LATER) : "memory");
#endif
}

/* What this thread wrote to shared memory, or copied there, is what wgmma reads after the next barrier. */
__device__ __forceinline__ void sl_shared_fence()
{
#ifdef __CUDACC__
    SL_WGMMA_ASM("fence.proxy.async.shared::cta;");
#endif
}

/* N: 64 or 128. */
template <enum sl_wgmma_kind KIND, int N>
__device__ __forceinline__ void sl_wgmma(float *d, const void *a, const void *b, uint32_t apart, bool add)
{
    static_assert(N == 64 || N == 128, "the sums are written out");
#ifndef __CUDACC__
    constexpr bool COLUMNS = KIND == SL_WGMMA_BF16_COLUMNS;
    emulated::start_product({d, a, b, apart, N, KIND == SL_WGMMA_TF32_ROWS ? 4u : 2u, COLUMNS, add, 0});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
    const uint64_t tile_a = sl_wgmma_tile(a, apart), tile_b = sl_wgmma_tile(b, apart);
    if (KIND == SL_WGMMA_BF16_ROWS && N == 64)
        SL_WGMMA_32("m64n64k16.f32.bf16.bf16", ", 0, 0");
    if (KIND == SL_WGMMA_BF16_ROWS && N == 128)
        SL_WGMMA_64("m64n128k16.f32.bf16.bf16", ", 0, 0");
    if (KIND == SL_WGMMA_TF32_ROWS && N == 64)
        SL_WGMMA_32("m64n64k8.f32.tf32.tf32", "");
    if (KIND == SL_WGMMA_TF32_ROWS && N == 128)
        SL_WGMMA_64("m64n128k8.f32.tf32.tf32", "");
    if (KIND == SL_WGMMA_BF16_COLUMNS && N == 64)
        SL_WGMMA_32("m64n64k16.f32.bf16.bf16", ", 1, 1");
    if (KIND == SL_WGMMA_BF16_COLUMNS && N == 128)
        SL_WGMMA_64("m64n128k16.f32.bf16.bf16", ", 1, 1");
#endif
}

/* ---- numbers ---- */

/* The bits of x as tf32: 10 bits of fraction, to the nearest, ties away from zero. */
__device__ __forceinline__ uint32_t sl_to_tf32(float x)
{
#ifdef __CUDACC__
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
#else
    const uint32_t bits = __float_as_uint(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
#endif
}

/* The bits of two numbers as bf16, x in the lower half: to the nearest, ties to even. */
__device__ __forceinline__ uint32_t sl_to_bf16_2(float x, float y)
{
#ifdef __CUDACC__
    uint32_t bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(y), "f"(x));
    return bits;
#else
    const float both[2] = {x, y};
    uint32_t bits = 0;
    for (int i = 0; i < 2; i++) {
        const uint32_t b = __float_as_uint(both[i]);
        const uint32_t rounded = (b & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : (b + 0x7fffu + (b >> 16 & 1u)) >> 16;
        bits |= rounded << 16 * i;
    }
    return bits;
#endif
}
#endif
