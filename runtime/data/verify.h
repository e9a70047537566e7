/* Decodes every image of a list once: is it readable, and what are the sums of its channels? */
#ifndef SL_RUNTIME_DATA_VERIFY_H
#define SL_RUNTIME_DATA_VERIFY_H

#include "runtime/data/scan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Integers, so that the order of addition does not matter. */
struct sl_channel_sums {
    uint64_t pixels, sum[3], square[3]; /* of bytes */
};

struct sl_verdict {
    uint64_t hash; /* of the file */
    char *reason;  /* why it cannot be read; NULL: it can */
};

/* verdicts[i] tells about files->at[i]; the caller frees the reasons. With `stop`, files after the first unreadable one
 * may be left unread. *sums grows by the readable ones. SL_SYSTEM. */
int sl_verify(const struct sl_image_list *files, int32_t image_size, int threads, bool stop,
              struct sl_verdict *verdicts, struct sl_channel_sums *sums);

#ifdef __cplusplus
}
#endif
#endif
