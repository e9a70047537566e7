/* Preparation: a folder of JPEGs becomes a data set of shards. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_H
#define SL_RUNTIME_PREPARE_PREPARE_H

#include "runtime/data/dataset.h"
#include "runtime/prepare/prepare_options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a data set in options->output of the images in options->input (layouts: scan.h), in two passes. The first
 * decodes every image at `image_size`: is it readable, and what are the mean and the deviation of the training images?
 * The second shuffles each split by the seed and writes the files' own bytes into shards, SPLIT-NNNNNN.tar or .tar.zst;
 * dataset.json comes last. The same input, seed and options give the same bytes, for any number of threads. Images that
 * both splits hold, byte for byte, are reported.
 *
 * The output folder is created, with those above it. One that exists must be empty, but for what systems leave
 * everywhere, or left over from a preparation that was killed. While it is being filled it holds the file `unfinished`.
 * A failure leaves no shards, unless dataset.json stands already: then the message says so.
 *
 * *dataset is what was written; NULL on failure. SL_MISSING. SL_BAD_DATA: path and reason. SL_BAD_CONFIG: an option is
 * out of range. SL_USAGE: see sl_scan_open. SL_CANNOT_CREATE: the folder is in use, is not ours or cannot be written.
 * SL_IO, SL_SYSTEM. */
int sl_prepare(const struct sl_prepare_options *options, struct sl_dataset **dataset);

#ifdef __cplusplus
}
#endif
#endif
