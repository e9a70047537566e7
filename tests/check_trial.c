/* Trials: runs, and comparisons of what they made. */
#include "tests/check_trial.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char complaint[512];

static const char *__attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    return complaint;
}

/* ---- two buffers ---- */

/* Distance in representable floats; floats of one sign are ordered like their bits. */
static int64_t ulps(float a, float b)
{
    int32_t i, j;
    memcpy(&i, &a, sizeof i);
    memcpy(&j, &b, sizeof j);
    const int64_t x = i < 0 ? (int64_t)INT32_MIN - i : i, y = j < 0 ? (int64_t)INT32_MIN - j : j;
    return x > y ? x - y : y - x;
}

static bool close_enough(float got, float want, struct check_tolerance t)
{
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want);
    const double error = fabs((double)got - want);
    return got == want || error <= t.absolute + t.relative * fabs(want) || ulps(got, want) <= t.ulp;
}

static size_t numbers(const struct check_buffer *b)
{
    return b->bytes / sl_element_bytes(b->element);
}

/* A bf16 of what the reference says. Half a unit is at most 2^-8 of a normal number; and what is exact is rounded. */
static bool close_in_bf16(float got, float want, struct check_tolerance t)
{
    const float rounded = sl_bf16_to_float(sl_bf16_from_float(want));
    if (t.absolute == 0.0 && t.relative == 0.0 && t.ulp == 0)
        return close_enough(got, rounded, check_exact);
    t.relative += 0x1p-8;
    t.absolute += 0x1p-133;
    return close_enough(got, want, t) || got == rounded;
}

static const char *compare(const struct check_buffer *got, const struct check_buffer *want)
{
    if (numbers(got) != numbers(want))
        return complain("%s: %zu numbers, the reference has %zu", got->name, numbers(got), numbers(want));
    for (size_t i = 0; i < numbers(got); i++) {
        const float g = check_get(got, i), w = check_get(want, i);
        if (got->element == SL_ELEMENT_BF16 ? !close_in_bf16(g, w, got->tolerance)
                                            : !close_enough(g, w, got->tolerance))
            return complain("%s[%zu] of %zu: %.9g, the reference says %.9g", got->name, i, numbers(got), (double)g,
                            (double)w);
    }
    return NULL;
}

static const char *compare_bits(const struct check_buffer *one, const struct check_buffer *other, const char *way)
{
    if (one->bytes != other->bytes)
        return complain("%s: its size depends on %s", one->name, way);
    for (size_t i = 0; i < one->bytes; i++)
        if (one->at[i] != other->at[i])
            return complain("%s: byte %zu of %zu depends on %s", one->name, i, one->bytes, way);
    return NULL;
}

/* Numbers by their bits, -0 apart from 0; which NaN it is, no standard says. */
static bool same_number(float a, float b)
{
    return !memcmp(&a, &b, sizeof a) || (isnan(a) && isnan(b));
}

static const char *compare_rows(const struct check_buffer *one, const struct check_buffer *other, const char *row)
{
    const bool floats = one->tolerance.ulp >= 0;
    if (one->bytes != other->bytes)
        return complain("%s: %zu bytes, those of %s are %zu", one->name, one->bytes, row, other->bytes);
    for (size_t i = 0; i < numbers(one); i++) {
        const float a = check_get(one, i), b = check_get(other, i);
        const size_t bytes = sl_element_bytes(one->element), at = i * bytes;
        if (floats ? !same_number(a, b) : memcmp(one->at + at, other->at + at, bytes) != 0)
            return complain("%s[%zu] of %zu: %.9g (%a), which has to equal %.9g (%a) of %s", one->name, i, numbers(one),
                            (double)a, (double)a, (double)b, (double)b, row);
    }
    return NULL;
}

/* ---- one case ---- */

static const char *look_at_margins(const struct check_case *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct check_buffer *b = &c->buffers[i];
        const unsigned char *at = check_margins(b);
        if (at)
            return complain("%s: wrote outside, %td bytes from its start (it has %zu)", b->name, at - b->at, b->bytes);
    }
    return NULL;
}

static const char *look_at_padding(const struct check_buffer *b)
{
    for (int64_t i = 0; i < b->pixels; i++)
        for (int32_t l = b->channels; l < b->stride; l++) {
            const float at = check_get(b, (size_t)(i * b->stride + l));
            if (at != 0.0f)
                return complain("%s: padding lane %d of pixel %lld is %g", b->name, l, (long long)i, (double)at);
        }
    return NULL;
}

/* Does the trial's row get contents rounded to bf16? */
static bool is_rounded(const struct check_trial *trial)
{
    return trial->row->kernel->element == SL_ELEMENT_BF16 || trial->row->needs & SL_TF32;
}

static const char *run_case(struct check_trial *trial, struct check_case *c, const struct sl_kernel_row *row,
                            bool sliced)
{
    *c = (struct check_case){.misaligned = sliced, .sliced = sliced, .rounded = is_rounded(trial), .seed = trial->seed};
    c->device = row == trial->row ? trial->device : NULL;
    if (!check_set_up_at(c, trial->op, trial->index, row)) {
        trial->refused = row == trial->row;
        return complain("%s does not take the shape", row->name);
    }
    if (!check_run(c))
        return complain("%s: %s", row->name, sl_last_error());
    const char *wrong = look_at_margins(c);
    if (!wrong && trial->op->finish)
        trial->op->finish(c);
    return wrong;
}

/* ---- the reference ---- */

/* What the reference makes of a shape, as it is and with contents rounded to bf16: kept until another one is asked for,
 * since in double precision it takes longer than all rows of the shape, which follow each other. */
static struct kept {
    const struct check_op *op; /* NULL: nothing is kept */
    size_t index;
    uint64_t seed;
    struct check_case made;
} kept[2];

static const char *ask_reference(struct check_trial *trial)
{
    struct kept *k = &kept[is_rounded(trial)];
    trial->want = &k->made;
    if (k->op == trial->op && k->index == trial->index && k->seed == trial->seed)
        return NULL;
    check_release(&k->made);
    k->op = NULL;
    const char *wrong = run_case(trial, &k->made, trial->reference, false);
    if (wrong)
        return wrong;
    k->op = trial->op;
    k->index = trial->index;
    k->seed = trial->seed;
    return NULL;
}

/* ---- a trial ---- */

/* The plainest of the operation's vector rows of that element that can run here; NULL: there is none. */
static const struct sl_kernel_row *find_plainest(const struct check_trial *trial)
{
    const struct sl_kernel_row *plainest = NULL;
    const enum sl_element element = trial->row->kernel->element;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (row->op == trial->op->op && row->kernel->element == element && row->needs != SL_CPU &&
            !(row->needs & ~trial->isa) && check_takes(trial->op, trial->index, row))
            plainest = row;
    }
    return plainest;
}

/* Against the row whose every bit this one has to have. */
static const char *compare_twin(struct check_trial *trial)
{
    const struct sl_kernel_row *own = check_find_reference(trial->op->op, trial->row->kernel->element);
    const struct sl_kernel_row *row = trial->op->bits == CHECK_ALL_EQUAL ? own : find_plainest(trial);
    const struct check_case *want = trial->want, *got = &trial->cases[0];
    const char *wrong = NULL;
    if (!row || trial->op->bits == CHECK_CLOSE || trial->row == own || trial->row == row)
        return NULL;
    if (row != trial->reference) {
        if ((wrong = run_case(trial, &trial->cases[2], row, false)))
            return wrong;
        want = &trial->cases[2];
    }
    for (int i = 0; i < got->count && !wrong; i++)
        if (got->buffers[i].is_output)
            wrong = compare_rows(&got->buffers[i], &want->buffers[i], row->name);
    return wrong;
}

/* Runs the row again in every way it has. */
static const char *compare_ways(struct check_trial *trial)
{
    const struct check_case *got = &trial->cases[0];
    struct check_case *other = &trial->cases[1];
    const char *way, *wrong = NULL;
    bool sliced = false;
    for (unsigned k = 1; !wrong && (way = trial->ready_way(k, &sliced)); k++) {
        wrong = run_case(trial, other, trial->row, sliced);
        for (int i = 0; i < got->count && !wrong; i++)
            if (got->buffers[i].is_output)
                wrong = compare_bits(&got->buffers[i], &other->buffers[i], way);
        check_release(other);
    }
    return wrong;
}

const char *check_trial_run(struct check_trial *trial)
{
    const struct check_case *got = &trial->cases[0];
    const char *wrong = ask_reference(trial);
    if (!wrong)
        wrong = run_case(trial, &trial->cases[0], trial->row, false);
    if (!wrong)
        wrong = compare_ways(trial);
    for (int i = 0; i < got->count && !wrong; i++) {
        const struct check_buffer *b = &got->buffers[i];
        if (!b->is_output)
            continue;
        wrong = look_at_padding(b);
        if (!wrong && b->tolerance.ulp >= 0)
            wrong = compare(b, &trial->want->buffers[i]);
    }
    return wrong ? wrong : compare_twin(trial);
}

void check_trial_release(struct check_trial *trial)
{
    for (size_t i = 0; i < sizeof trial->cases / sizeof *trial->cases; i++)
        check_release(&trial->cases[i]);
}
