/* The numbers and names of the safetensors format that its reader and its writer share. */
#ifndef SL_RUNTIME_STORE_SAFETENSORS_FORMAT_H
#define SL_RUNTIME_STORE_SAFETENSORS_FORMAT_H

enum {
    LENGTH_BYTES = 8,       /* of the header's length, at the beginning of the file */
    MAX_HEADER = 100000000, /* bytes: the format's own limit */
};

#define METADATA "__metadata__"

#endif
