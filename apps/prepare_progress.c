#include "apps/prepare_progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"

void prepare_progress_open(struct prepare_progress *progress, bool quiet)
{
    const double now = sl_clock();
    *progress =
        (struct prepare_progress){.quiet = quiet, .terminal = isatty(STDERR_FILENO) == 1, .told = now, .shown = now};
}

static void clear_line(struct prepare_progress *progress)
{
    if (progress->drawn)
        fputs("\r\x1b[K", stderr);
    progress->drawn = false;
}

void prepare_progress_close(struct prepare_progress *progress)
{
    clear_line(progress);
}

void prepare_progress_say(void *self, const char *line)
{
    clear_line(self);
    fputs("starling-prepare: ", stderr);
    /* A file's name may hold anything, and must not steer the terminal. */
    for (const char *at = line; *at; at++)
        fputc((uint8_t)*at < ' ' || *at == 127 ? '?' : *at, stderr);
    fputc('\n', stderr);
}

void prepare_progress_show(void *self, const char *what, uint64_t done, uint64_t total)
{
    enum { ROOM = 79 };
    char text[ROOM + 1];
    struct prepare_progress *progress = self;
    const double now = sl_clock();
    if (!progress->what || strcmp(progress->what, what)) {
        progress->what = what;
        progress->begun = progress->told;
    }
    progress->told = now;
    if (progress->quiet || now - progress->shown < (progress->terminal ? 0.1 : 10))
        return;
    progress->shown = now;
    const double rate = (double)done / (now - progress->begun);
    const uint64_t left = (uint64_t)((double)(total - done) / rate + 0.5);
    snprintf(text, sizeof text, "%s %" PRIu64 " of %" PRIu64 " images  %.0f images/s  left %" PRIu64 ":%02" PRIu64,
             what, done, total, rate, left / 60, left % 60);
    fprintf(stderr, progress->terminal ? "\r%s\x1b[K" : "%s\n", text);
    progress->drawn = progress->terminal;
}
