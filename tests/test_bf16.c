/* bf16 one number at a time, against what rounding means. The rows of the conversions equal this (check_convert.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/bf16.h"

enum { INFINITE = 0x7f80, SIGN = 0x8000 };

static bool is_nan(unsigned value)
{
    return (value & 0x7fff) > INFINITE;
}

/* Every bf16 is a float, and the same bf16 again; a NaN may only become quiet. */
static void all_come_back(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1u << 16; v++) {
        const float x = sl_bf16_to_float((sl_bf16)v);
        assert_int_equal(sl_bf16_from_float(x), is_nan(v) ? v | 0x40 : v);
        assert_int_equal(!isnan(x), !is_nan(v));
    }
    assert_true(sl_bf16_to_float(0x3f80) == 1.0f && sl_bf16_to_float(0xc0a0) == -5.0f);
    assert_true(sl_bf16_to_float(0x0001) == 0x1p-133f && sl_bf16_to_float(0x7f7f) == 0x1.fep127f);
}

/* Between each bf16 and the next one, which may be infinity: half way goes to the even one, less and more to the nearer
 * one. Numbers are at most 24 bits wide, so that doubles are exact. */
static void the_nearest_wins(void **state)
{
    (void)state;
    for (unsigned v = 0; v < INFINITE; v++) {
        const double low = (double)sl_bf16_to_float((sl_bf16)v);
        const double high = v + 1 == INFINITE ? 0x1p128 : (double)sl_bf16_to_float((sl_bf16)(v + 1));
        const float half = (float)((low + high) / 2.0);
        assert_true((double)half == (low + high) / 2.0);
        for (unsigned sign = 0; sign <= SIGN; sign += SIGN) {
            const float s = sign ? -1.0f : 1.0f;
            assert_int_equal(sl_bf16_from_float(s * half), sign | (v % 2 ? v + 1 : v));
            assert_int_equal(sl_bf16_from_float(s * nextafterf(half, 0.0f)), sign | v);
            assert_int_equal(sl_bf16_from_float(s * nextafterf(half, INFINITY)), sign | (v + 1));
        }
    }
}

static void what_is_no_number_stays_none(void **state)
{
    (void)state;
    static const uint32_t payloads[] = {1, 0x7fff, 0x8000, 0xffff, 0x3fffff, 0x400000, 0x7fffff};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        const uint32_t bits = 0x7f800000u | payloads[i];
        float x;
        memcpy(&x, &bits, sizeof x);
        assert_true(isnan(sl_bf16_to_float(sl_bf16_from_float(x))));
    }
    assert_int_equal(sl_bf16_from_float(INFINITY), INFINITE);
    assert_int_equal(sl_bf16_from_float(-INFINITY), SIGN | INFINITE);
    assert_int_equal(sl_bf16_from_float(-0.0f), SIGN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_come_back),
        cmocka_unit_test(the_nearest_wins),
        cmocka_unit_test(what_is_no_number_stays_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
