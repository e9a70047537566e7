/* What a rank says before it ends the job: how long it has waited, and for whom. */
#ifndef SL_COMM_LAST_WORDS_H
#define SL_COMM_LAST_WORDS_H

#include "comm/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_LAST_WORDS_BYTES = 2048 };

/* All ranks as one of them knows them. */
struct sl_roll {
    int rank, size;
    const char *const *hosts;    /* NULL: not known yet */
    const struct sl_beat *beats; /* [size]: the newest of each; its own as it is */
    const double *ages;          /* [size]: seconds since each beat came; since the beginning if none did */
    double silent;               /* an age from which on a rank counts as silent */
};

/* Has the rank left although this one waits for a call that it has not made, or with a failure? Of who leaves, nobody:
 * to have left is what it waits for. */
bool sl_roll_has_deserted(const struct sl_roll *roll, int rank);

/* "rank 0 on A has waited 61 s in training, step 812, for rank 3 on C: not heard for 61 s, last in training, step 812;
 * rank 5 on D: in training, step 811, heard 0.4 s ago". Those are named who are silent, have left, or have made fewer
 * calls; if nobody can be singled out, it says so. */
void sl_last_words(const struct sl_roll *roll, char line[SL_LAST_WORDS_BYTES]);

/* "rank 3 on C" */
void sl_roll_name(const struct sl_roll *roll, int rank, char *text, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
