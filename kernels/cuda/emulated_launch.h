/* Launches of emulated blocks as a GPU's stream has them: noted with their arguments when they are started, and run
 * later, perhaps more than once. */
#ifndef SL_KERNELS_CUDA_EMULATED_LAUNCH_H
#define SL_KERNELS_CUDA_EMULATED_LAUNCH_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sl_emulated_launch {
    unsigned grid[3], block[3];
    size_t shared_bytes;
    void (*body)(void *self); /* the kernel, with the arguments that lie in self */
    void *self;
    size_t bytes; /* of self, which may be copied as it is */
};

/* From here on launches are handed to `note`, which copies them, and not run. NULL: they run at once again. */
void sl_emulated_note(void (*note)(void *to, const struct sl_emulated_launch *launch), void *to);

void sl_emulated_run(const struct sl_emulated_launch *launch);

#ifdef __cplusplus
}
#endif
#endif
