/* The program as a process: its standard streams and the signals that would kill it. */
#ifndef SL_APPS_CLI_PROCESS_H
#define SL_APPS_CLI_PROCESS_H

/* Called first, before any file is opened. */
void cli_process_begin(void);

#endif
