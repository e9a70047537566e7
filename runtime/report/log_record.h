/* One line of JSON or CSV in the making, and the files they are appended to. */
#ifndef SL_RUNTIME_REPORT_LOG_RECORD_H
#define SL_RUNTIME_REPORT_LOG_RECORD_H

#include "kernels/base.h"

enum { SL_LOG_SCHEMA_VERSION = 1, SL_RECORD_LENGTH = 8192 };

/* Never overflows: what does not fit is left out, texts are cut. */
struct sl_record {
    char text[SL_RECORD_LENGTH];
    size_t n;
};

void sl_record_open(struct sl_record *record,
                    const char *event); /* {"schema_version": ..., "event": ..., "time": ... */
void sl_record_count(struct sl_record *record, const char *key, uint64_t value);
void sl_record_number(struct sl_record *record, const char *key, double value); /* not finite: null */
/* One without decimals if it is whole. */
void sl_record_any(struct sl_record *record, const char *key, double value);
void sl_record_string(struct sl_record *record, const char *key, const char *value); /* what is not UTF-8 becomes '?' */
void sl_record_close(struct sl_record *record);                                      /* } and a newline */

/* A CSV field, with a comma before all but the first; not finite: empty. */
void sl_record_field(struct sl_record *record, double value);

/* Opens a file for appending, and cuts off an unfinished last line. *empty: it has no line yet. */
int sl_lines_open(const char *path, int *fd, bool *empty);
/* Appends whole lines or nothing. */
int sl_lines_append(int fd, const char *path, const char *text, size_t n);

#endif
