/* What a step cost this rank on the wire, by the counters of its comms. */
#ifndef SL_COMM_TRAFFIC_H
#define SL_COMM_TRAFFIC_H

#include "comm/team.h"

struct sl_traffic {
    uint64_t sent;  /* bytes */
    double seconds; /* waited */
};

static inline struct sl_traffic sl_traffic_now(const struct sl_team *team)
{
    const bool apart = team->speakers && team->speakers != team->comm;
    return (struct sl_traffic){
        sl_comm_bytes_sent(team->comm) + (apart ? sl_comm_bytes_sent(team->speakers) : 0),
        sl_comm_seconds_waited(team->comm) + (apart ? sl_comm_seconds_waited(team->speakers) : 0.0),
    };
}

static inline struct sl_traffic sl_traffic_since(const struct sl_team *team, struct sl_traffic begin)
{
    const struct sl_traffic now = sl_traffic_now(team);
    return (struct sl_traffic){now.sent - begin.sent, now.seconds - begin.seconds};
}

/* What one of P sends in a dense ring over n floats: 2 (P-1)/P 4n. */
static inline uint64_t sl_traffic_dense(int ranks, int64_t n)
{
    return 8 * (uint64_t)n * (uint64_t)(ranks - 1) / (uint64_t)ranks;
}
#endif
