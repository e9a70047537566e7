/* What a rank is doing, and how long it waits for the others meanwhile. */
#ifndef SL_COMM_COMM_OPTIONS_H
#define SL_COMM_COMM_OPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

enum sl_phase {
    SL_PHASE_OPENING, /* the start-up limit holds for this, for saving and for validating */
    SL_PHASE_TRAINING,
    SL_PHASE_VALIDATING,
    SL_PHASE_SAVING,
    SL_PHASE_LEAVING,
};

struct sl_comm_options {
    double start_limit; /* seconds a rank may wait for the others; 0: 600 */
    double step_limit;  /* the same in SL_PHASE_TRAINING; 0: 60, or 20 times the longest wait so far if that is more */
    double grace;       /* that a rank that failed alone gives the others to come to its close; 0: 3 */
    /* Told the last words of a rank that ends the job, from the watchdog's thread or from close; NULL: stderr. */
    void (*last_words)(void *self, const char *line);
    void *self;
};

#ifdef __cplusplus
}
#endif
#endif
