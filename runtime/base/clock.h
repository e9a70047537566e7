/* Seconds of a clock that never goes back; only differences mean something. */
#ifndef SL_RUNTIME_BASE_CLOCK_H
#define SL_RUNTIME_BASE_CLOCK_H

#ifdef __cplusplus
extern "C" {
#endif

double sl_clock(void);

#ifdef __cplusplus
}
#endif
#endif
