/* Exchanges of ranks that are two to a node, whatever hosts they are on, over the NCCL that SL_NCCL_LIBRARY names; each
 * rank prints a digest of all that it was given.
 *   mpi_team               over the wire of the environment
 *   mpi_team RANKS         as that many threads over a loop
 *   mpi_team steps FOLDER  steps for ever; each rank writes its process into FOLDER/RANK
 * SL_PROBE_LIMIT: seconds that a rank may wait. */
#include <inttypes.h>
#include <unistd.h>

#include "comm/wire_find.h"
#include "tests/apart_device.h"
#include "tests/exchange_fixture.h"

enum { FLOATS = 700001, STEPS = 20, WRITTEN_AT = 10 };

static int ranks;
static const char *folder; /* of steps; NULL: all exchanges */

static int two_to_a_node(void *self, int *numbers)
{
    (void)self;
    for (int i = 0; i < ranks; i++)
        numbers[i] = i / 2;
    return SL_OK;
}

static void fly_all(struct flock_rank *rank)
{
    for (size_t i = 0; sl_exchange_at(i); i++) {
        struct flight *flight = flight_new(sl_exchange_at(i)->name, FLOATS, STEPS);
        flight->flush = true;
        flight->clip_multiple = 5.0;
        flight->clip_every = 5;
        flight_body(rank, flight);
        printf("%s, rank %d of %d nodes: status %d%s, %016" PRIx64 "\n", flight->name, rank->number, rank->team->nodes,
               flight->rc[rank->number], flight->text[rank->number],
               sl_hash64(flight->hashes[rank->number], sizeof *flight->hashes));
        flight_free(flight);
    }
}

static int write_process(int rank)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", folder, rank);
    FILE *file = fopen(path, "w");
    if (!file)
        return sl_fail(SL_CANNOT_CREATE, "%s", path);
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
    return SL_OK;
}

/* Returns only with a failure. */
static int step_for_ever(struct flock_rank *rank)
{
    int rc = SL_OK;
    void *exchange = NULL;
    struct sl_exchange_tensor tensors[FLIGHT_TENSORS];
    struct flight *flight = flight_new("threshold", FLOATS, STEPS);
    float *at = flock_alloc(&rank->device, FLOATS);
    flight_tensors(flight, tensors);
    SL_TRY(rank->device.fill(rank->device.self, at, 0, FLOATS * sizeof *at));
    SL_TRY(flight_open(flight, rank, tensors, &exchange));
    for (uint64_t step = 0;; step++) {
        sl_comm_enter(rank->comm, SL_PHASE_TRAINING, step);
        SL_TRY(flight_share(flight, exchange, at, step));
        if (step == WRITTEN_AT)
            SL_TRY(write_process(rank->number));
        pause_for(0.01);
    }
out:
    sl_exchange_threshold.close(exchange);
    rank->device.free(rank->device.self, at);
    flight_free(flight);
    return rc;
}

static void run_rank(struct sl_wire *wire, void *self)
{
    int rc = SL_OK;
    const char *limit = getenv("SL_PROBE_LIMIT");
    const double seconds = limit ? strtod(limit, NULL) : 0;
    const struct sl_comm_options options = {.start_limit = seconds, .step_limit = seconds, .grace = 1};
    struct sl_team team = {0};
    struct flock_rank rank = {.number = wire->rank, .size = wire->size, .team = &team};
    (void)self;
    ranks = wire->size;
    wire->hosts = two_to_a_node;
    CHECK_OK(sl_comm_open(wire, &options, &rank.comm));
    apart_device_open(&rank.device);
    SL_TRY(sl_team_open(rank.comm, &rank.device, &team));
    CHECK(sl_team_joins(&team));
    if (folder)
        SL_TRY(step_for_ever(&rank));
    fly_all(&rank);
out:
    if (rc != SL_OK)
        fprintf(stderr, "mpi_team: %s\n", sl_last_error());
    CHECK_OK(sl_team_close(&team, rc));
    rank.device.close(rank.device.self);
    sl_comm_close(rank.comm, rc);
}

int main(int argc, char **argv)
{
    const char *name;
    struct sl_wire wire;
    folder = argc == 3 ? argv[2] : NULL;
    if (argc == 2) {
        ranks = atoi(argv[1]);
        ranks_run(ranks, run_rank, NULL);
    } else {
        if (sl_wire_choose(&name) != SL_OK || !name || sl_wire_load(name, 0, &wire) != SL_OK) {
            fprintf(stderr, "mpi_team: no wire: %s\n", sl_last_error());
            return SL_UNAVAILABLE;
        }
        ranks_here = wire.rank;
        run_rank(&wire, NULL);
    }
    if (rank_wrong[0])
        fprintf(stderr, "mpi_team: %s\n", rank_wrong);
    return rank_wrong[0] ? SL_INTERNAL : SL_OK;
}
