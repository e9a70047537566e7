/* What a step cost on the wire, by the counters of comm. */
#ifndef SL_COMM_TRAFFIC_H
#define SL_COMM_TRAFFIC_H

#include "comm/comm.h"

struct sl_traffic {
    uint64_t sent;  /* bytes */
    double seconds; /* waited */
};

static inline struct sl_traffic sl_traffic_now(const struct sl_comm *comm)
{
    return (struct sl_traffic){sl_comm_bytes_sent(comm), sl_comm_seconds_waited(comm)};
}

static inline struct sl_traffic sl_traffic_since(const struct sl_comm *comm, struct sl_traffic begin)
{
    return (struct sl_traffic){sl_comm_bytes_sent(comm) - begin.sent, sl_comm_seconds_waited(comm) - begin.seconds};
}

/* What a rank sends in a dense ring over n floats: 2 (P-1)/P 4n. */
static inline uint64_t sl_traffic_dense(int ranks, int64_t n)
{
    return 8 * (uint64_t)n * (uint64_t)(ranks - 1) / (uint64_t)ranks;
}
#endif
