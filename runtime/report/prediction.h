/* Predictions as text: one line for each key with its most probable classes, in the order they come. */
#ifndef SL_RUNTIME_REPORT_PREDICTION_H
#define SL_RUNTIME_REPORT_PREDICTION_H

#include <stdio.h>

#include "runtime/store/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_prediction_writer {
    FILE *to; /* whose error flag the caller looks at */
    const struct sl_model *model;
    int32_t top; /* classes a line */
    bool json;
};

/* The header of the table; nothing for JSON. */
void sl_prediction_begin(const struct sl_prediction_writer *writer);

/* One line. The table is tab separated: key, then class, words and probability `top` times, texts escaped as by
 * sl_text_print. JSON is one object a line: {"key": ..., "top": [{"class", "words", "probability"}, ...]}; for a key
 * that is not UTF-8 the bytes that are not are U+FFFD in "key", and "key_bytes" has all of them in hexadecimal.
 * SL_NUMERICS: the probabilities are not finite; nothing is written. SL_SYSTEM. */
int sl_prediction_write(const struct sl_prediction_writer *writer, const char *key, const float *p);

#ifdef __cplusplus
}
#endif
#endif
