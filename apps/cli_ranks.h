/* A program as one of several: under mpirun or srun the same command line works together, elsewhere it is alone. */
#ifndef SL_APPS_CLI_RANKS_H
#define SL_APPS_CLI_RANKS_H

#include "comm/comm.h"

struct cli_ranks {
    struct sl_comm *comm;         /* NULL: alone */
    const struct sl_group *group; /* NULL: alone */
};

/* Looks for a launcher and joins the others; without one no MPI library is touched. The errors of sl_wire_choose,
 * sl_wire_load and sl_comm_open. */
int cli_ranks_open(const struct sl_comm_options *options, struct cli_ranks *ranks);

/* A group of this process alone, for what wants one. */
int cli_ranks_open_alone(struct cli_ranks *ranks);

/* Threads of this rank: `wanted`, or if that is 0 its share of what the host has. Collective. */
int cli_ranks_threads(const struct cli_ranks *ranks, int wanted, int *threads);

/* Bytes for this rank: `wanted`, or if that is 0 its share of four fifths of what the host has left; 0: unknown. */
uint64_t cli_ranks_memory(const struct cli_ranks *ranks, uint64_t wanted);

/* cli_end of a rank, and goodbye. What all ranks know rank 0 says; what one knows alone it says itself, with rank and
 * host. */
int cli_ranks_end(struct cli_ranks *ranks, int rc);

#endif
