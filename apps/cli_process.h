/* The program as a process: its standard streams, its last words, and the signals that would kill it. */
#ifndef SL_APPS_CLI_PROCESS_H
#define SL_APPS_CLI_PROCESS_H

/* Called first, before any file is opened. */
void cli_process_begin(void);

/* A line for people on stderr, control characters escaped; fits sl_tell_fn. */
void cli_say(void *self, const char *line);

/* The last words of a program: flushes stdout, prints "PROGRAM: message" on stderr if `rc` is a failure, and returns
 * the exit code: rc, or SL_IO if stdout could not be written. That nobody reads it any more, as behind `| head`, is no
 * failure. */
int cli_end(int rc);

/* The end of a program whose last words another rank says. */
void cli_end_silently(void);

#endif
