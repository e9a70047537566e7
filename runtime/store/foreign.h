/* Files of other programs that people take for a model of ours. */
#ifndef SL_RUNTIME_STORE_FOREIGN_H
#define SL_RUNTIME_STORE_FOREIGN_H

#include "kernels/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a file looks like by its first bytes: "an HDF5 file (Keras's .h5?)", "a JPEG image", "text", ...; NULL: unknown.
 */
const char *sl_foreign_model(const uint8_t *bytes, size_t length);

#ifdef __cplusplus
}
#endif
#endif
