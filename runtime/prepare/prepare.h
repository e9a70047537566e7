/* Preparation: a folder of JPEGs becomes a data set of shards. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_H
#define SL_RUNTIME_PREPARE_PREPARE_H

#include "runtime/data/dataset.h"
#include "runtime/prepare/prepare_options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads OPTIONS.input (layouts: scan.h), decodes every image once at `image_size` to verify it and to sum up mean and
 * deviation, shuffles each split by the seed, writes the original bytes into shards SPLIT-NNNNNN.tar[.zst] and
 * dataset.json last of all. Same input, seed and options: same bytes, for any number of threads. Images that are in
 * both splits, byte for byte, are reported.
 *
 * The output folder must be new, empty but for what systems leave everywhere, or left over from a preparation that was
 * killed; missing folders above it are created. While it is being written it holds the file `unfinished`, and after a
 * failure none of the shards, unless dataset.json stands already: then the message says so. *dataset is what was
 * written. SL_MISSING, SL_BAD_DATA (path and reason), SL_BAD_CONFIG, SL_CANNOT_CREATE (the folder is in use, or cannot
 * be written), SL_IO (disk full). */
int sl_prepare(const struct sl_prepare_options *options, struct sl_dataset **dataset);

#ifdef __cplusplus
}
#endif
#endif
