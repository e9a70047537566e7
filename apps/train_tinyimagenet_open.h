/* Opening and closing a training run: its device, its folder, the checkpoint it goes on from, its session and its log.
 */
#ifndef SL_APPS_TRAIN_TINYIMAGENET_OPEN_H
#define SL_APPS_TRAIN_TINYIMAGENET_OPEN_H

#include "apps/train_tinyimagenet_epoch.h"

/* Of the ranks, number 0 alone. */
bool train_speaks(const struct training *training);

/* Each rank its own; rank 0 speaks of its. */
int train_open_device(struct training *training);

/* Prints what training would do; of all ranks, though rank 0 alone tells. */
int train_dry_run(const struct training *training);

/* The rest, on the device that is open. Collective. Whatever the result, train_close() follows. */
int train_open(struct training *training);

/* With the status that the run ends with; the device too. What it returns is that of the log, or of leaving the other
 * GPUs of this host. */
int train_close(struct training *training, int rc);

#endif
