/* What a training run tells: log.jsonl and metrics.csv in the run folder, and lines for people on one stream.
 *
 * RUN/log.jsonl has one JSON object a line, appended whole, with schema_version, event and time (seconds since 1970).
 * The events are "step", "epoch", "message", "resumed" and those of sl_log_event. "step" and "epoch" end with the
 * caller's own numbers, where he gives any. A number that is not finite is null.
 * After "resumed", earlier "step" records of a greater iteration no longer count, nor "epoch" records of its epoch or a
 * later one: those steps are done again.
 *
 * RUN/metrics.csv has a header, then a row for each epoch. On resume the rows that are done again are removed. A number
 * that is not finite is an empty field.
 *
 * On a terminal progress is one line, redrawn; elsewhere plain lines now and then. Training does not end because its
 * log cannot be written: the first failure is told once, and sl_log_close returns it. For one thread at a time. */
#ifndef SL_RUNTIME_REPORT_LOG_H
#define SL_RUNTIME_REPORT_LOG_H

#include <stdio.h>

#include "runtime/report/log_text.h"

#ifdef __cplusplus
extern "C" {
#endif

enum sl_progress {
    SL_PROGRESS_AUTO, /* a redrawn line if the stream is a terminal, else lines */
    SL_PROGRESS_REDRAWN,
    SL_PROGRESS_LINES,
    SL_PROGRESS_NONE,
};

struct sl_log_options {
    const char *run; /* the run folder, which must exist; NULL: no files */
    FILE *to;        /* NULL: stderr */
    enum sl_progress progress;
    double progress_seconds;    /* between two progress lines; 0: 0.1 redrawn, 10 as lines */
    uint64_t performance_every; /* iterations between two performance lines; 0: none */
    uint64_t epochs;            /* of the whole run, for the time left; 0: unknown */
    bool silent;                /* no files and no lines: the log of a rank beside one that tells */
};

struct sl_log;

/* Opens the files of the run; a last line that a killed writer left unfinished is cut off. SL_CANNOT_CREATE, SL_IO,
 * SL_SYSTEM. */
int sl_log_open(const struct sl_log_options *options, struct sl_log **log);
/* Returns the first failure to write, or SL_OK. */
int sl_log_close(struct sl_log *log);

/* Says that the run goes on from there; call it before the first step. */
void sl_log_resumed(struct sl_log *log, uint64_t epoch, uint64_t iteration);

/* Writes the record, shows the progress, and every `performance_every` iterations the line of DL4J's
 * PerformanceListener. */
void sl_log_step(struct sl_log *log, const struct sl_step_record *step);
void sl_log_epoch(struct sl_log *log, const struct sl_epoch_record *epoch);

/* A record {"event": name, "text": text}, and no line. */
void sl_log_event(struct sl_log *log, const char *name, const char *text);

/* A line for people, and a "message" record. Control characters are shown as '?'. */
void sl_log_message(struct sl_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
