/* Signals that ask a run to stop: a scheduler's (TERM, USR1, USR2, XCPU), a lost terminal's (HUP), Ctrl-C's (INT). */
#ifndef SL_APPS_TRAIN_TINYIMAGENET_SIGNALS_H
#define SL_APPS_TRAIN_TINYIMAGENET_SIGNALS_H

#include <signal.h>

/* The first signal since train_signals_note, or 0. */
extern volatile sig_atomic_t train_stop_signal;

/* From here on each of them ends the program at once, with a message and SL_PREEMPTED: while a run is being opened
 * there is nothing to save. SIGHUP stays ignored if it is (nohup). */
void train_signals_watch(void);

/* From here on they are only noted, but for a second SIGINT, which kills. */
void train_signals_note(void);

/* "SIGTERM" */
const char *train_signal_name(int number);

#endif
