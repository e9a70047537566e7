/* The inside of the fake cuDNN: what descriptors were told, and computing from that. */
#ifndef SL_TESTS_FAKE_FAKE_CUDNN_GRAPH_H
#define SL_TESTS_FAKE_FAKE_CUDNN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_ATTRIBUTES = 16, FAKE_BYTES = 64 };

struct descriptor {
    int type, count;
    bool finished;
    int index;                      /* of an engine and its configuration, */
    const struct descriptor *graph; /* and what the configuration is for */
    struct {
        int name;
        _Alignas(max_align_t) unsigned char bytes[FAKE_BYTES];
    } attributes[FAKE_ATTRIBUTES];
};

/* An attribute's values; the process ends if the descriptor was not told of it. */
const void *fake_get(const struct descriptor *d, int name);
bool fake_has(const struct descriptor *d, int name);
const struct descriptor *fake_get_descriptor(const struct descriptor *d, int name);

/* Images of an operation's input. */
int64_t fake_images(const struct descriptor *operation);

/* Does what the operation says with the data of a variant pack. */
void fake_compute(const struct descriptor *operation, const struct descriptor *pack);
#endif
