/* Image files through a model, in batches. The key of an image is its path as given. */
#ifndef SL_APPS_PREDICT_FILES_H
#define SL_APPS_PREDICT_FILES_H

#include "apps/predict_list.h"
#include "runtime/train/evaluate.h"
#include "runtime/store/served_model.h"

struct predict_files {
    const struct sl_served_model *served;
    int32_t batch_size;
    char **paths; /* come first; "-" is the image on standard input */
    size_t path_count;
    struct predict_list *list; /* more paths, which come next; NULL: none */
    bool skip_bad_images;      /* says so on stderr and goes on */
    sl_evaluate_fn *visit;
    void *self;
};

/* What a list has brought is visited before it is waited on. The images before one that fails are visited first.
 * SL_MISSING, SL_BAD_DATA name the file. */
int predict_files_run(const struct predict_files *files);

#endif
