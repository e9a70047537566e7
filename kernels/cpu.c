/* What this processor can do, and what the user lets us use of it. */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base.h"

/* XCR0: which registers the operating system saves. */
static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has(uint32_t reg, uint32_t bits)
{
    return (reg & bits) == bits;
}

/* Linux gives tiles only to processes that ask for them, because each of their threads then has 8 KiB more to save. The
 * same process may ask again. This is arch_prctl, for which libc has no function. */
static bool may_use_tiles(void)
{
    enum { SYS_ARCH_PRCTL = 158, ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    long result = SYS_ARCH_PRCTL;
    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"((long)ARCH_REQ_XCOMP_PERM), "S"((long)XFEATURE_XTILEDATA)
                     : "rcx", "r11", "memory");
    return result == 0;
}

static bool has_amx(uint32_t leaf7_d, uint64_t state)
{
    enum { TILE_STATE = 0x60000, AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24 };
    return has(leaf7_d, AMX_BF16 | AMX_TILE) && (state & TILE_STATE) == TILE_STATE && may_use_tiles();
}

uint32_t sl_isa_detect(void)
{
    enum { YMM_STATE = 0x6, ZMM_STATE = 0xe6 };
    uint32_t a, b, c, d, isa = SL_CPU;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
        return isa;
    const uint64_t state = saved_state();
    if ((state & YMM_STATE) != YMM_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return isa;
    if (!has(b, bit_AVX2 | bit_BMI | bit_BMI2))
        return isa;
    isa |= SL_AVX2;
    if ((state & ZMM_STATE) != ZMM_STATE || !has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
        return isa;
    isa |= SL_AVX512;
    if (has_amx(d, state))
        isa |= SL_AMX;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, 1u << 5)) /* AVX512_BF16 */
        isa |= SL_BF16;
    return isa;
}

static const struct limit {
    const char *name;
    uint32_t isa;
} limits[] = {{"ref", SL_CPU},
              {"avx2", SL_CPU | SL_AVX2},
              {"avx512", SL_CPU | SL_AVX2 | SL_AVX512 | SL_BF16},
              {"amx", SL_CPU | SL_AVX2 | SL_AVX512 | SL_BF16 | SL_AMX}};

static const struct limit *find_limit(const char *name)
{
    for (size_t i = 0; name && i < sizeof limits / sizeof *limits; i++)
        if (!strcmp(name, limits[i].name))
            return &limits[i];
    return NULL;
}

uint32_t sl_isa(void)
{
    const struct limit *limit = find_limit(getenv("SL_ISA"));
    const uint32_t isa = sl_isa_detect();
    return limit ? isa & limit->isa : isa;
}

int sl_isa_check(void)
{
    const char *name = getenv("SL_ISA");
    if (!name || !*name || find_limit(name))
        return SL_OK;
    return sl_fail(SL_BAD_CONFIG, "SL_ISA=%s: it must be ref, avx2, avx512 or amx", name);
}

const char *sl_isa_text(uint32_t isa)
{
    static _Thread_local char text[64];
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s", isa & SL_AVX2 ? " avx2" : "", isa & SL_AVX512 ? " avx512" : "",
             isa & SL_BF16 ? " bf16" : "", isa & SL_AMX ? " amx" : "", isa & SL_CUDA ? " cuda" : "",
             isa & SL_WGMMA ? " wgmma" : "", isa & SL_CUDNN ? " cudnn" : "");
    return text[0] ? text + 1 : "none";
}
