#include "comm/last_words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "comm/comm_options.h"

enum { MOST_NAMED = 8, NAME_BYTES = 320 };

/* The line so far; what does not fit is cut. */
struct text {
    char *at;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    const size_t left = SL_LAST_WORDS_BYTES - text->length;
    va_list arguments;
    va_start(arguments, format);
    const int wanted = vsnprintf(text->at + text->length, left, format, arguments);
    va_end(arguments);
    text->length += (size_t)wanted < left ? (size_t)wanted : left - 1;
}

/* A beat may come from another build: any number is possible. */
static const char *phase_name(uint32_t phase)
{
    static const char *const names[] = {
        [SL_PHASE_OPENING] = "opening", [SL_PHASE_TRAINING] = "training", [SL_PHASE_VALIDATING] = "validating",
        [SL_PHASE_SAVING] = "saving",   [SL_PHASE_LEAVING] = "leaving",
    };
    return phase < sizeof names / sizeof *names ? names[phase] : "an unknown phase";
}

void sl_roll_name(const struct sl_roll *roll, int rank, char *text, size_t bytes)
{
    if (roll->hosts)
        snprintf(text, bytes, "rank %d on %s", rank, roll->hosts[rank]);
    else
        snprintf(text, bytes, "rank %d", rank);
}

static bool has_left(const struct sl_roll *roll, int rank)
{
    return roll->beats[rank].count && roll->beats[rank].phase == SL_PHASE_LEAVING;
}

static bool is_silent(const struct sl_roll *roll, int rank)
{
    return roll->ages[rank] >= roll->silent;
}

/* Who leaves waits for the others to leave; everybody else for a call that the others have not made. */
static bool is_behind(const struct sl_roll *roll, int rank)
{
    return roll->beats[roll->rank].phase == SL_PHASE_LEAVING ? !has_left(roll, rank)
                                                             : roll->beats[rank].calls < roll->beats[roll->rank].calls;
}

bool sl_roll_has_deserted(const struct sl_roll *roll, int rank)
{
    return has_left(roll, rank) && roll->beats[roll->rank].phase != SL_PHASE_LEAVING &&
           (roll->beats[rank].status != SL_OK || is_behind(roll, rank));
}

static void add_place(struct text *text, const struct sl_beat *beat)
{
    add(text, "in %s, step %" PRIu64, phase_name(beat->phase), beat->step);
}

static void add_rank(struct text *text, const struct sl_roll *roll, int rank)
{
    char name[NAME_BYTES];
    const struct sl_beat *beat = &roll->beats[rank];
    sl_roll_name(roll, rank, name, sizeof name);
    add(text, "%s: ", name);
    if (!beat->count) {
        add(text, "never heard");
    } else if (has_left(roll, rank)) {
        add(text, "left with status %" PRIu32 " (%s)", beat->status, sl_status_text((int)beat->status));
    } else if (is_silent(roll, rank)) {
        add(text, "not heard for %.3g s, last ", roll->ages[rank]);
        add_place(text, beat);
    } else {
        add_place(text, beat);
        if (beat->waited)
            add(text, ", waiting for %.3g s", 1e-3 * (double)beat->waited);
        add(text, ", heard %.1f s ago", roll->ages[rank]);
    }
}

/* Those who are gone or silent come first: the others may be waiting for them too. */
void sl_last_words(const struct sl_roll *roll, char line[SL_LAST_WORDS_BYTES])
{
    char name[NAME_BYTES];
    int found = 0;
    struct text text = {line, 0};
    const struct sl_beat *mine = &roll->beats[roll->rank];
    sl_roll_name(roll, roll->rank, name, sizeof name);
    add(&text, "%s has waited %.3g s ", name, 1e-3 * (double)mine->waited);
    add_place(&text, mine);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < roll->size; i++) {
            const bool gone = is_silent(roll, i) || sl_roll_has_deserted(roll, i);
            if (i == roll->rank || (pass == 0 ? !gone : gone || !is_behind(roll, i)))
                continue;
            if (found++ < MOST_NAMED) {
                add(&text, "%s", found == 1 ? ", for " : "; ");
                add_rank(&text, roll, i);
            }
        }
    if (found > MOST_NAMED)
        add(&text, "; and for %d more", found - MOST_NAMED);
    if (!found)
        add(&text, ", for no rank in particular: all are heard, and all have come as far");
}
