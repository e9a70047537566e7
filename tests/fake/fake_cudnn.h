/* What a test sees and says of the fake cuDNN, which it loads by SL_CUDNN_PATH. */
#ifndef SL_TESTS_FAKE_FAKE_CUDNN_H
#define SL_TESTS_FAKE_FAKE_CUDNN_H

#include <stdint.h>

enum { FAKE_CUDNN_CALLS = 1024, FAKE_CUDNN_NOTES = 8, FAKE_CUDNN_ENGINE = 60 };

struct fake_cudnn {
    /* What happened: a letter for each call: h(andle) s(tream) c(reate) a(ttribute) f(inalize) g(et) (e)x(ecute). */
    char trace[FAKE_CUDNN_CALLS];
    int calls, handles, descriptors; /* those alive */
    int chosen;                      /* engine of the last plan */
    /* What shall happen. */
    int fail_at;       /* this call fails, counted from 1 */
    int refused_plans; /* so many fail when they are finalized */
    int note_count;    /* engines that note something of their numbers; one more notes nothing */
    int32_t notes[FAKE_CUDNN_NOTES];
    int64_t first_engine; /* the number of the first; nothing is against FAKE_CUDNN_ENGINE */
    int32_t mode;         /* of heuristics that have suggestions */
    int64_t workspace;
    int64_t images; /* plans are for so many alone; 0: for any number */
};

typedef struct fake_cudnn *fake_cudnn_state_fn(void);
struct fake_cudnn *fake_cudnn_state(void);
#endif
