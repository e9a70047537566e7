/* The image set that a scan finds, and what it was asked for. */
#ifndef SL_RUNTIME_PREPARE_SCAN_SET_H
#define SL_RUNTIME_PREPARE_SCAN_SET_H

#include "runtime/base/tell.h"
#include "runtime/data/dataset.h"
#include "runtime/prepare/image_list.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sl_scan_options {
    const char *folder;
    double val_fraction; /* of each class, for sets without validation images; below 0: the default, a tenth */
    uint64_t seed;
    bool one_class;     /* a set of one class is allowed */
    bool skip_missing;  /* leave out images that only the list or only the folder has */
    sl_tell_fn *report; /* told what is left out, and what is taken for what; may be NULL */
    void *self;         /* for report */
};

struct sl_scan {
    size_t class_count;
    struct sl_class *classes; /* sorted by id */
    struct sl_image_list train, val;
    uint64_t skipped; /* images left out by skip_missing */
    const struct sl_scan_options *options;
    size_t strays; /* files among the images that are none */
    char *stray;   /* path of the first of them */
};

#ifdef __cplusplus
}
#endif
#endif
