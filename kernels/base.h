/* Ground for everybody: status codes and their texts, the detail of the last error, ISA bits. */
#ifndef SL_KERNELS_BASE_H
#define SL_KERNELS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before small functions that the kernels of a GPU use as well. */
#ifdef __CUDACC__
#define SL_ANYWHERE __host__ __device__
#else
#define SL_ANYWHERE
#endif

/* Every status of the project. The number is also the exit code of a program that ends with it. */
#define SL_STATUS_MAP(X)                                             \
    X(SL_OK, 0, "success")                                           \
    X(SL_USAGE, 64, "wrong command line")                            \
    X(SL_BAD_DATA, 65, "bad input data")                             \
    X(SL_MISSING, 66, "missing input")                               \
    X(SL_UNAVAILABLE, 69, "no usable backend, or a memory limit")    \
    X(SL_INTERNAL, 70, "internal error")                             \
    X(SL_SYSTEM, 71, "operating system error")                       \
    X(SL_CANNOT_CREATE, 73, "cannot create output")                  \
    X(SL_IO, 74, "input/output or communication failure")            \
    X(SL_PREEMPTED, 75, "pre-empted and saved, run again to resume") \
    X(SL_DISAGREE, 76, "ranks disagree")                             \
    X(SL_BAD_CONFIG, 78, "bad configuration")                        \
    X(SL_NUMERICS, 79, "non-finite or diverging numbers")

enum sl_status {
#define X(name, code, text) name = code,
    SL_STATUS_MAP(X)
#undef X
};

/* The text of a status; never NULL. */
const char *sl_status_text(int status);

/* What the last SL_FAIL of this thread said: what, where, what to do. "" if there was none. */
const char *sl_last_error(void);

/* Forgets the detail of this thread, before an attempt whose failure is expected. */
void sl_clear_error(void);

/* Remembers a printf-like detail for this thread and returns `status`. */
int sl_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the detail and returns `status`: adds the file, the sample, the rank. */
int sl_fail_prefix(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The two verbs of error handling. A fallible function declares `int rc = SL_OK;`, ends in the one
 * label `out:` and returns rc. */
#define SL_TRY(call)                \
    do {                            \
        if ((rc = (call)) != SL_OK) \
            goto out;               \
    } while (0)
#define SL_FAIL(status, ...)                 \
    do {                                     \
        rc = sl_fail((status), __VA_ARGS__); \
        goto out;                            \
    } while (0)

/* A run of floats that somebody else owns. */
struct sl_span {
    float *at;
    size_t n;
};

/* Instruction sets, in bundles that have a meaning. */
enum sl_isa_bits {
    SL_CPU = 1u << 0,    /* plain C on a processor that reads the device's memory */
    SL_AVX2 = 1u << 1,   /* AVX2 + FMA + BMI1/2 + F16C, and the OS saves ymm */
    SL_AVX512 = 1u << 2, /* AVX-512 F/BW/DQ/VL, and the OS saves zmm and opmask */
    SL_BF16 = 1u << 3,   /* AVX512-BF16 */
    SL_CUDA = 1u << 4,   /* an NVIDIA device, through the plug-in */
    SL_TF32 = 1u << 6,   /* tensor cores that round products of floats to tf32, where a run allows that */
    SL_AMX = 1u << 5,    /* AMX tiles with bf16, and the OS lets this process use them */
    SL_CUDNN = 1u << 7,  /* cuDNN, found where the plug-in was loaded */
    SL_WGMMA = 1u << 8,  /* tensor cores that multiply shared memory by warpgroups: compute capability 9.0 */
};

/* What this machine has (CPUID and XGETBV), and what the system lets this process use: the first call asks it for AMX's
 * tiles. */
uint32_t sl_isa_detect(void);

/* What may be used: sl_isa_detect() held to SL_ISA=ref|avx2|avx512|amx. */
uint32_t sl_isa(void);

/* SL_BAD_CONFIG, with the choices, if SL_ISA is set to anything else. */
int sl_isa_check(void);

/* "avx2 avx512", for messages, "none" beyond SL_CPU; the text is static per thread. */
const char *sl_isa_text(uint32_t isa);

/* The type of an element of a tensor; zero is the default. */
enum sl_element { SL_ELEMENT_F32, SL_ELEMENT_BF16 };

static inline size_t sl_element_bytes(enum sl_element element)
{
    return element == SL_ELEMENT_BF16 ? 2 : 4;
}

/* Floats in the widest vector of the project: activations round their channel stride up to this. */
enum { SL_LANES = 16 };

/* The largest shapes that kernels take. The product of two lengths, or of images and a length, fits into int32_t; one
 * of more factors is computed in 64 bits. */
enum {
    SL_MAX_LENGTH = 1 << 14, /* rows, columns, channels, kernel, stride */
    SL_MAX_IMAGES = 1 << 16, /* and the rows of a dense layer, which are its images */
};

static inline bool sl_is_length(int32_t n)
{
    return 1 <= n && n <= SL_MAX_LENGTH;
}

static inline bool sl_is_image_count(int32_t n)
{
    return 1 <= n && n <= SL_MAX_IMAGES;
}

static inline int32_t sl_round_up(int32_t n, int32_t to)
{
    return (n + to - 1) / to * to;
}

/* An output that the caches cannot hold until it is read need not be brought into them to be overwritten: may what is
 * written there, `bytes` in all and in whole cache lines, go past them? */
static inline bool sl_passes_caches(const void *at, size_t bytes)
{
    return bytes >= (size_t)8 << 20 && (uintptr_t)at % (SL_LANES * sizeof(float)) == 0;
}

#ifdef __cplusplus
}
#endif
#endif
