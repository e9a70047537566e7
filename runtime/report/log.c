#include "runtime/report/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/file_io.h"
#include "runtime/base/replace.h"
#include "runtime/report/log_record.h"
#include "runtime/report/log_text.h"

static const char CSV_HEADER[] =
    "epoch,iteration,train_loss,val_loss,top1,top5,images_per_second,seconds,learning_rate\n";
enum { CSV_MAX_BYTES = 64 << 20, MESSAGE_LENGTH = 2048, DEFAULT_COLUMNS = 80 };

struct sl_log {
    FILE *to;
    enum sl_progress progress;
    double progress_seconds, last_progress;
    uint64_t performance_every, epochs;
    bool silent;
    bool drawn; /* a progress line stands on the terminal, without a newline */
    char *jsonl_path, *csv_path;
    int jsonl, csv;
    int status; /* the first failure */
    struct sl_log_means means;
    struct sl_record record;
};

/* ---- Lines ---- */

/* Prints a line of its own; a progress line on the terminal gives way. */
static void print_line(struct sl_log *log, const char *text)
{
    if (log->silent)
        return;
    if (log->drawn)
        fputs("\r\x1b[K", log->to);
    log->drawn = false;
    fputs(text, log->to);
    fputc('\n', log->to);
    fflush(log->to);
}

static void note_failure(struct sl_log *log, int rc)
{
    char line[MESSAGE_LENGTH];
    if (rc == SL_OK || log->status != SL_OK)
        return;
    log->status = rc;
    snprintf(line, sizeof line, "warning: %s; training goes on, its log is incomplete", sl_last_error());
    print_line(log, line);
}

static int columns(const struct sl_log *log)
{
    struct winsize size;
    return ioctl(fileno(log->to), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : DEFAULT_COLUMNS;
}

static void show_progress(struct sl_log *log, const struct sl_step_record *step)
{
    char text[SL_LOG_LINE];
    const double now = sl_clock();
    const bool last = step->step_in_epoch == step->steps_per_epoch;
    if (log->progress == SL_PROGRESS_NONE || (!last && now - log->last_progress < log->progress_seconds))
        return;
    log->last_progress = now;
    sl_log_progress_text(&log->means, step, log->epochs, text);
    if (log->progress == SL_PROGRESS_LINES) {
        print_line(log, text);
        return;
    }
    /* A line that wraps could not be redrawn. */
    fprintf(log->to, "\r%.*s\x1b[K", columns(log) - 1, text);
    fflush(log->to);
    log->drawn = true;
}

static void show_performance(struct sl_log *log, const struct sl_step_record *step)
{
    char text[SL_LOG_LINE];
    if (!log->performance_every || step->iteration % log->performance_every)
        return;
    sl_log_performance_text(step, text);
    print_line(log, text);
}

/* ---- Files ---- */

static void append_numbers(struct sl_record *record, const struct sl_log_number *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sl_record_any(record, numbers[i].key, numbers[i].value);
}

static void append_record(struct sl_log *log)
{
    sl_record_close(&log->record);
    if (log->jsonl >= 0)
        note_failure(log, sl_lines_append(log->jsonl, log->jsonl_path, log->record.text, log->record.n));
}

static int open_csv(struct sl_log *log)
{
    bool empty;
    int rc = sl_lines_open(log->csv_path, &log->csv, &empty);
    if (rc == SL_OK && empty)
        rc = sl_lines_append(log->csv, log->csv_path, CSV_HEADER, strlen(CSV_HEADER));
    return rc;
}

/* Keeps the header and the rows of the epochs before that one; returns the new length. */
static size_t cut_rows(char *text, uint64_t epoch)
{
    char *to = text;
    for (char *row = text, *end; *row; row = end) {
        uint64_t number;
        end = strchr(row, '\n');
        end = end ? end + 1 : row + strlen(row);
        if (row != text && sscanf(row, "%" SCNu64, &number) == 1 && number >= epoch)
            continue;
        memmove(to, row, (size_t)(end - row));
        to += end - row;
    }
    return (size_t)(to - text);
}

static int rewind_csv(struct sl_log *log, uint64_t epoch)
{
    int rc = SL_OK;
    char *text = NULL;
    size_t n = 0;
    SL_TRY(sl_io_read_own(log->csv_path, CSV_MAX_BYTES, &text, &n));
    const size_t kept = cut_rows(text, epoch);
    if (kept < n) {
        SL_TRY(sl_replace(log->csv_path, text, kept));
        close(log->csv);
        log->csv = -1;
        SL_TRY(open_csv(log));
    }
out:
    free(text);
    return rc;
}

/* ---- Public ---- */

static int open_files(struct sl_log *log, const char *run)
{
    int rc = SL_OK;
    bool empty;
    SL_TRY(sl_io_join(run, "log.jsonl", &log->jsonl_path));
    SL_TRY(sl_io_join(run, "metrics.csv", &log->csv_path));
    SL_TRY(sl_lines_open(log->jsonl_path, &log->jsonl, &empty));
    SL_TRY(open_csv(log));
out:
    return rc;
}

int sl_log_open(const struct sl_log_options *options, struct sl_log **out_log)
{
    int rc = SL_OK;
    struct sl_log *log = calloc(1, sizeof *log);
    *out_log = NULL;
    if (!log)
        SL_FAIL(SL_SYSTEM, "out of memory for the log");
    log->jsonl = log->csv = -1;
    log->to = options->to ? options->to : stderr;
    log->silent = options->silent;
    log->progress = options->silent ? SL_PROGRESS_NONE : options->progress;
    if (log->progress == SL_PROGRESS_AUTO)
        log->progress = isatty(fileno(log->to)) ? SL_PROGRESS_REDRAWN : SL_PROGRESS_LINES;
    log->progress_seconds = options->progress_seconds;
    if (log->progress_seconds == 0)
        log->progress_seconds = log->progress == SL_PROGRESS_REDRAWN ? 0.1 : 10;
    log->last_progress = sl_clock();
    log->performance_every = options->performance_every;
    log->epochs = options->epochs;
    if (options->run && !options->silent)
        SL_TRY(open_files(log, options->run));
    *out_log = log;
    log = NULL;
out:
    sl_log_close(log);
    return rc;
}

int sl_log_close(struct sl_log *log)
{
    if (!log)
        return SL_OK;
    const int status = log->status;
    if (log->drawn)
        fputc('\n', log->to);
    fflush(log->to);
    if (log->jsonl >= 0)
        close(log->jsonl);
    if (log->csv >= 0)
        close(log->csv);
    free(log->jsonl_path);
    free(log->csv_path);
    free(log);
    return status;
}

void sl_log_resumed(struct sl_log *log, uint64_t epoch, uint64_t iteration)
{
    sl_record_open(&log->record, "resumed");
    sl_record_count(&log->record, "epoch", epoch);
    sl_record_count(&log->record, "iteration", iteration);
    append_record(log);
    if (log->csv >= 0)
        note_failure(log, rewind_csv(log, epoch));
}

void sl_log_step(struct sl_log *log, const struct sl_step_record *step)
{
    struct sl_record *record = &log->record;
    const double seconds = step->wait_seconds + step->step_seconds;
    assert(step->samples >= 0 && step->step_in_epoch <= step->steps_per_epoch);
    sl_record_open(record, "step");
    sl_record_count(record, "epoch", step->epoch);
    sl_record_count(record, "iteration", step->iteration);
    sl_record_count(record, "step_in_epoch", step->step_in_epoch);
    sl_record_count(record, "steps_per_epoch", step->steps_per_epoch);
    sl_record_number(record, "samples", step->samples);
    sl_record_number(record, "wait_seconds", step->wait_seconds);
    sl_record_number(record, "step_seconds", step->step_seconds);
    sl_record_number(record, "images_per_second", step->samples / seconds);
    sl_record_number(record, "loss", step->loss);
    sl_record_number(record, "score", step->score);
    sl_record_number(record, "learning_rate", step->rate);
    append_numbers(record, step->numbers, step->number_count);
    append_record(log);
    sl_log_average(&log->means, step);
    show_performance(log, step);
    show_progress(log, step);
}

static void append_row(struct sl_log *log, const struct sl_epoch_record *epoch)
{
    const double values[] = {epoch->train_loss,        epoch->val_loss, epoch->top1,         epoch->top5,
                             epoch->images_per_second, epoch->seconds,  epoch->learning_rate};
    struct sl_record *row = &log->record;
    row->n = (size_t)snprintf(row->text, sizeof row->text, "%" PRIu64 ",%" PRIu64, epoch->epoch, epoch->iteration);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        sl_record_field(row, values[i]);
    row->text[row->n++] = '\n';
    if (log->csv >= 0)
        note_failure(log, sl_lines_append(log->csv, log->csv_path, row->text, row->n));
}

static void show_epoch(struct sl_log *log, const struct sl_epoch_record *epoch)
{
    char text[SL_LOG_LINE];
    sl_log_epoch_text(epoch, log->epochs, text);
    print_line(log, text);
}

void sl_log_epoch(struct sl_log *log, const struct sl_epoch_record *epoch)
{
    struct sl_record *record = &log->record;
    sl_record_open(record, "epoch");
    sl_record_count(record, "epoch", epoch->epoch);
    sl_record_count(record, "iteration", epoch->iteration);
    sl_record_number(record, "train_loss", epoch->train_loss);
    sl_record_number(record, "val_loss", epoch->val_loss);
    sl_record_number(record, "top1", epoch->top1);
    sl_record_number(record, "top5", epoch->top5);
    sl_record_number(record, "images_per_second", epoch->images_per_second);
    sl_record_number(record, "seconds", epoch->seconds);
    sl_record_number(record, "learning_rate", epoch->learning_rate);
    append_numbers(record, epoch->numbers, epoch->number_count);
    append_record(log);
    append_row(log, epoch);
    show_epoch(log, epoch);
}

void sl_log_event(struct sl_log *log, const char *name, const char *text)
{
    sl_record_open(&log->record, name);
    sl_record_string(&log->record, "text", text);
    append_record(log);
}

void sl_log_message(struct sl_log *log, const char *format, ...)
{
    char text[MESSAGE_LENGTH];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sl_log_event(log, "message", text);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    print_line(log, text);
}
