#include "comm/algorithm.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const char *const names[SL_THRESHOLD_KINDS] = {
    [SL_THRESHOLD_ADAPTIVE] = "adaptive",
    [SL_THRESHOLD_TARGET] = "target-sparsity",
    [SL_THRESHOLD_FIXED] = "fixed",
};

struct sl_threshold_options sl_threshold_defaults(void)
{
    return (struct sl_threshold_options){
        .kind = SL_THRESHOLD_ADAPTIVE,
        .initial = 1e-3,
        .min_density = 1e-4,
        .max_density = 1e-2,
        .target = 1e-3,
        .decay = 0.96593632892484555, /* 0.5^(1/20): twice in 20 steps */
        .cap = 3.5e-3,
    };
}

int sl_threshold_find(const char *name)
{
    for (int kind = 0; kind < SL_THRESHOLD_KINDS; kind++)
        if (strcmp(name, names[kind]) == 0)
            return kind;
    return -1;
}

const char *sl_threshold_name(enum sl_threshold_kind kind)
{
    return names[kind];
}

/* What an option has to be. `ok` is false for a NaN, as every comparison with one. */
struct rule {
    const char *option;
    double value;
    bool ok;
    const char *range;
};

int sl_threshold_check(const struct sl_threshold_options *o)
{
    const bool adaptive = o->kind == SL_THRESHOLD_ADAPTIVE, target = o->kind == SL_THRESHOLD_TARGET;
    const struct rule rules[] = {
        {"--threshold", o->initial, o->initial >= FLT_MIN && o->initial <= FLT_MAX, "a positive number, as of a float"},
        {"--min-density", o->min_density, !adaptive || (o->min_density > 0 && o->min_density <= 1), "in (0, 1]"},
        {"--max-density", o->max_density, !adaptive || (o->max_density >= o->min_density && o->max_density <= 1),
         "in [--min-density, 1]"},
        {"--target-density", o->target, !target || (o->target > 0 && o->target < 1.0 / 16), "in (0, 1/16)"},
        {"--threshold-decay", o->decay, !(adaptive || target) || (o->decay >= 0.5 && o->decay < 1), "in [0.5, 1)"},
        {"--density-cap", o->cap, o->cap > 0 && o->cap <= 1, "in (0, 1]; 1 is no limit"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!rules[i].ok)
            return sl_fail(SL_BAD_CONFIG, "%s is %g; it has to be %s", rules[i].option, rules[i].value, rules[i].range);
    return SL_OK;
}

/* DL4J's rule; the state is that of the last step. */
static double follow(const struct sl_threshold_options *options, const struct sl_threshold_state *state)
{
    const bool adaptive = options->kind == SL_THRESHOLD_ADAPTIVE;
    const double low = adaptive ? options->min_density : options->target;
    const double high = adaptive ? options->max_density : options->target;
    if (options->kind == SL_THRESHOLD_FIXED || state->steps == 0)
        return options->initial;
    if (state->density < low)
        return state->tau * options->decay;
    return state->density > high ? state->tau / options->decay : state->tau;
}

enum { DIGITS = 3 };

/* A float that is not negative compares as its bits do. They are looked at in three digits, from the top. */
static const struct digit {
    unsigned shift, bits;
} digits[DIGITS] = {{20, 11}, {10, 10}, {0, 10}};

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The value that exactly k others precede in descending order. NaNs stand behind all of `numbers` values; k is less
 * than that. The time does not depend on the values. */
static float select_from_above(const float *sample, size_t m, size_t k)
{
    uint32_t found = 0;
    for (int d = 0; d < DIGITS; d++) {
        size_t counts[1 << 11] = {0};
        const unsigned shift = digits[d].shift, mask = (1u << digits[d].bits) - 1;
        for (size_t i = 0; i < m; i++) {
            const uint32_t bits = bits_of(sample[i]);
            if (!isnan(sample[i]) && bits >> shift >> digits[d].bits == found)
                counts[bits >> shift & mask]++;
        }
        uint32_t digit = mask;
        for (; counts[digit] <= k; digit--)
            k -= counts[digit];
        found = found << digits[d].bits | digit;
    }
    float value;
    memcpy(&value, &found, sizeof value);
    return value;
}

/* The lowest tau at which no more than cap of the sample is sent; 0: any. */
static float lowest_allowed(const float *sample, size_t m, double cap)
{
    size_t numbers = 0;
    for (size_t i = 0; i < m; i++) {
        assert(!signbit(sample[i]) || isnan(sample[i]));
        numbers += !isnan(sample[i]);
    }
    const size_t allowed = (size_t)fmax(1, floor(cap * (double)numbers));
    return allowed >= numbers ? 0 : nextafterf(select_from_above(sample, m, allowed), INFINITY);
}

float sl_threshold_next(const struct sl_threshold_options *options, const struct sl_threshold_state *state,
                        const float *sample, size_t m)
{
    assert(sample || options->cap == 1);
    float tau = (float)fmin(fmax(follow(options, state), FLT_MIN), FLT_MAX);
    if (options->cap < 1)
        tau = fmaxf(tau, lowest_allowed(sample, m, options->cap));
    return fminf(tau, FLT_MAX);
}

void sl_threshold_note(struct sl_threshold_state *state, float tau, int64_t count, int64_t n)
{
    assert(0 <= count && count <= n && n > 0);
    state->tau = (double)tau;
    state->density = (double)(count + 4) / (double)n;
    state->steps++;
}
