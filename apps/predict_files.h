/* Image files through a plan, in batches. The key of an image is its path as given. */
#ifndef SL_APPS_PREDICT_FILES_H
#define SL_APPS_PREDICT_FILES_H

#include "runtime/evaluate.h"
#include "runtime/model.h"

struct predict_files {
    struct sl_plan *plan; /* prepared */
    const struct sl_model *model;
    int32_t batch_size;
    char **paths; /* these, */
    size_t path_count;
    const char *list;     /* or the lines of this file; "-": standard input */
    bool skip_bad_images; /* says so on stderr and goes on */
    sl_evaluate_fn *visit;
    void *self;
};

/* SL_MISSING, SL_BAD_DATA name the file. */
int predict_files_run(const struct predict_files *files);

#endif
