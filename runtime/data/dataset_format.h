/* dataset.json, as dataset.c reads and dataset_write.c writes it. Its last member is the XXH3-64 of every byte before
 * that member's line, so that no change goes unseen:
 *
 *   { "format": "starling-dataset", "version": 1, ..., "splits": { ... },
 *     "xxh3": "0123456789abcdef"
 *   }
 */
#ifndef SL_RUNTIME_DATA_DATASET_FORMAT_H
#define SL_RUNTIME_DATA_DATASET_FORMAT_H

#include "runtime/base/hash.h"

/* Room for the most classes there may be and 30,000 shards; parsed, it may take forty times its bytes of memory. */
enum { SL_DATASET_VERSION = 1, SL_DATASET_MAX_BYTES = 16 << 20 };

/* `"xxh3": "HHHHHHHHHHHHHHHH"\n}\n` */
#define SL_DATASET_SEAL_HEAD "\"xxh3\": \""
#define SL_DATASET_SEAL_TAIL "\"\n}\n"

#endif
