/* What the reader and the writer of safetensors files share. */
#ifndef SL_RUNTIME_SAFETENSORS_FORMAT_H
#define SL_RUNTIME_SAFETENSORS_FORMAT_H

#include "runtime/safetensors.h"

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER = 100000000, /* the format's own cap */
};

#define METADATA "__metadata__"
#define SEAL_MARKER "\"" SL_SAFETENSORS_SEAL "\":\""

#endif
