/* Decodes every image of a list once: is it readable, and what are the sums of its channels? */
#ifndef SL_RUNTIME_PREPARE_VERIFY_H
#define SL_RUNTIME_PREPARE_VERIFY_H

#include "runtime/prepare/image_list.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Integers, so that the order of addition does not matter. */
struct sl_channel_sums {
    uint64_t pixels, sum[3], square[3]; /* of bytes */
};

struct sl_verdict {
    uint64_t hash; /* of the file */
    int status;    /* SL_OK: it can be read; SL_BAD_DATA, SL_MISSING: it cannot, */
    char *reason;  /* because */
    bool turned;   /* its EXIF orientation is not upright */
};

struct sl_verify_options {
    int32_t image_size;
    bool apply_orientation;
    int threads;
    bool stop; /* files after the first unreadable one may be left unread */
};

/* verdicts[i], zeroed before, tells about files->at[i]; the caller frees the reasons. *sums grows by the readable ones.
 * What is no fault of a file ends it, with the path of the first such file: SL_SYSTEM (memory, descriptors), SL_IO (a
 * failing device, no permission). */
int sl_verify(const struct sl_image_list *files, const struct sl_verify_options *options, struct sl_verdict *verdicts,
              struct sl_channel_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
