/* Lines for people. The library prints nothing: it tells them to whoever called it and listens. */
#ifndef SL_RUNTIME_BASE_TELL_H
#define SL_RUNTIME_BASE_TELL_H

#ifdef __cplusplus
extern "C" {
#endif

/* Told one line, without its end. */
typedef void sl_tell_fn(void *self, const char *line);

/* Hands a line, cut at 1023 bytes, to `to`, unless that is NULL. */
void sl_tell(sl_tell_fn *to, void *self, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
