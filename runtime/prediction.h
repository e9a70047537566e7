/* Predictions as text: one line for each key with its most probable classes, in the order they come. */
#ifndef SL_RUNTIME_PREDICTION_H
#define SL_RUNTIME_PREDICTION_H

#include <stdio.h>

#include "runtime/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The `count` most probable of `classes`, best first; equal probabilities in the order of the classes. */
void sl_top_classes(const float *p, int32_t classes, int32_t count, int32_t *top);

struct sl_prediction_writer {
    FILE *to;
    const struct sl_model *model;
    int32_t top; /* classes a line */
    bool json; /* one object a line: {"key": ..., "top": [{"class", "words", "probability"}, ...]}; else tab separated:
                  key, then class and probability `top` times */
};

/* The header of the table; nothing for JSON. */
int sl_prediction_begin(const struct sl_prediction_writer *writer);

/* One line. Tabs, line ends and backslashes of a key are written as \t, \n, \\ in the table. SL_IO. */
int sl_prediction_write(const struct sl_prediction_writer *writer, const char *key, const float *p);

#ifdef __cplusplus
}
#endif
#endif
