/* The parts of a preparation. */
#ifndef SL_RUNTIME_PREPARE_PREPARE_INTERNAL_H
#define SL_RUNTIME_PREPARE_PREPARE_INTERNAL_H

#include "runtime/prepare/prepare.h"
#include "runtime/prepare/verify.h"

void sl_prepare_say(const struct sl_prepare_options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How far one pass over the images is. */
struct sl_prepare_pass {
    const struct sl_prepare_options *options;
    const char *what;
    uint64_t done, total;
};

void sl_prepare_advance(struct sl_prepare_pass *pass, size_t images);

/* The folder to be filled, locked; prepare_folder.c. */
struct sl_prepare_folder {
    const char *path;
    char *marker;
    int lock; /* the marker, open and locked; -1: not ours */
};

int sl_prepare_folder_open(const struct sl_prepare_options *options, struct sl_prepare_folder *folder);
void sl_prepare_folder_close(struct sl_prepare_folder *folder); /* removes the marker if it is ours */

/* Decodes every image; the unreadable ones leave the list and the verdicts, which stay parallel, or end it. Counts the
 * skipped and the turned ones in the data set. prepare_images.c. */
int sl_prepare_verify(struct sl_prepare_pass *pass, struct sl_image_list *list, struct sl_verdict **verdicts,
                      struct sl_channel_sums *sums, struct sl_dataset *dataset);

/* Images of each class, to be freed. SL_SYSTEM. */
int sl_prepare_count(const struct sl_image_list *list, size_t class_count, uint64_t **counts);

/* Reports how many validation images are training images too. SL_SYSTEM. */
int sl_prepare_compare(const struct sl_prepare_options *options, const struct sl_scan *scan,
                       const struct sl_verdict *train, const struct sl_verdict *val);

/* Writes the shards of a split, and appends the split to the data set; prepare_shards.c. */
int sl_prepare_write_split(struct sl_prepare_pass *pass, const struct sl_image_list *list,
                           const struct sl_verdict *verdicts, const char *name, struct sl_dataset *dataset);

#endif
