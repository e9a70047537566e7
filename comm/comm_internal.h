/* What comm.c (waits), comm_open.c (opening, closing), comm_group.c (gathering) and comm_part.c (parts)
 * share. */
#ifndef SL_COMM_COMM_INTERNAL_H
#define SL_COMM_COMM_INTERNAL_H

#include "comm/comm.h"

enum { HOST_BYTES = 256, LAST_WORDS_BYTES = 1100 };

struct host_name {
    char text[HOST_BYTES];
};

struct sl_comm {
    struct sl_wire wire;
    struct sl_comm_options options;
    struct sl_watchdog *watchdog;
    struct sl_group group;
    struct host_name *names;
    const char **hosts;
    size_t *lengths; /* of the parts of a gather */
    int local_rank, local_size, leader;
    int *numbers;          /* of a part: its ranks in `whole` */
    struct sl_comm *whole; /* NULL: this is no part */
    int64_t unfinished;    /* calls of the wire */
    /* The first failure of a group's call. The others may have finished that call: a later one would meet with theirs
     * of another kind. */
    int failed;
    char why[LAST_WORDS_BYTES];
    uint64_t sent;
    double waited;
};

/* The wire, the names of the hosts and the lengths are there. */
void sl_comm_group_open(struct sl_comm *comm);

/* Its memory alone. */
void sl_comm_free(struct sl_comm *comm);

#endif
