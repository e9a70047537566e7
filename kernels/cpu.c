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

uint32_t sl_isa_detect(void)
{
    enum { YMM_STATE = 0x6, ZMM_STATE = 0xe6 };
    uint32_t a, b, c, d, isa = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
        return 0;
    const uint64_t state = saved_state();
    if ((state & YMM_STATE) != YMM_STATE || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!has(b, bit_AVX2 | bit_BMI | bit_BMI2))
        return 0;
    isa = SL_AVX2;
    if ((state & ZMM_STATE) != ZMM_STATE || !has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL))
        return isa;
    isa |= SL_AVX512;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && has(a, 1u << 5)) /* AVX512_BF16 */
        isa |= SL_BF16;
    return isa;
}

uint32_t sl_isa(void)
{
    static const struct {
        const char *name;
        uint32_t isa;
    } limits[] = {{"ref", 0}, {"avx2", SL_AVX2}, {"avx512", SL_AVX2 | SL_AVX512 | SL_BF16}};
    const char *limit = getenv("SL_ISA");
    const uint32_t isa = sl_isa_detect();
    for (size_t i = 0; limit && i < sizeof limits / sizeof *limits; i++)
        if (!strcmp(limit, limits[i].name))
            return isa & limits[i].isa;
    return isa;
}

const char *sl_isa_text(uint32_t isa)
{
    static _Thread_local char text[64];
    snprintf(text, sizeof text, "%s%s%s%s", isa & SL_AVX2 ? " avx2" : "", isa & SL_AVX512 ? " avx512" : "",
             isa & SL_BF16 ? " bf16" : "", isa & SL_CUDA ? " cuda" : "");
    return text[0] ? text + 1 : "none";
}
