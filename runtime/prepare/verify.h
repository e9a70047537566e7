/* Are the images of a list readable, and what do their channels sum up to? */
#ifndef SL_RUNTIME_PREPARE_VERIFY_H
#define SL_RUNTIME_PREPARE_VERIFY_H

#include "runtime/prepare/image_list.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sums over bytes. They are integers, so the order of addition does not matter. */
struct sl_channel_sums {
    uint64_t pixels, sum[3], square[3];
};

struct sl_verdict {
    uint64_t hash; /* of the file */
    int status;    /* SL_OK, or why it cannot be read: SL_BAD_DATA, SL_MISSING */
    char *reason;  /* the message then; else NULL */
    bool turned;   /* its EXIF orientation is not upright */
};

struct sl_verify_options {
    int32_t image_size; /* pixels a side to which images are decoded */
    bool apply_orientation;
    int threads;
    bool stop; /* what comes after the first unreadable file may be left unread */
};

/* Decodes every image once. verdicts[i], zeroed by the caller, becomes that of files->at[i]; the caller frees the
 * reasons. *sums grows by the readable images. A failure of the machine, not of a file, ends it with the path of the
 * first such file: SL_SYSTEM (memory, descriptors), SL_IO (a failing device, no permission). */
int sl_verify(const struct sl_image_list *files, const struct sl_verify_options *options, struct sl_verdict *verdicts,
              struct sl_channel_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
