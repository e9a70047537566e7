/* Every exchange for some steps; each rank prints a digest of all that it was given.
 *   mpi_exchange           over the wire of the environment
 *   mpi_exchange RANKS     as that many threads over a loop */
#include <inttypes.h>

#include "comm/wire_find.h"
#include "tests/exchange_fixture.h"

enum { PARAMETERS = 700001, STEPS = 10 };

static void fly_one(struct flock_rank *rank, const char *name)
{
    struct flight *flight = flight_new(name, PARAMETERS, STEPS);
    flight->flush = true;
    flight->clip_multiple = 5.0;
    flight->clip_every = 5;
    flight_body(rank, flight);
    printf("%s, rank %d: status %d%s, %016" PRIx64 "\n", flight->name, rank->number, flight->rc[rank->number],
           flight->text[rank->number], sl_hash64(flight->hashes[rank->number], sizeof *flight->hashes));
    flight_free(flight);
}

static void fly_all(struct flock_rank *rank, void *self)
{
    (void)self;
    for (size_t i = 0; sl_exchange_at(i); i++)
        fly_one(rank, sl_exchange_at(i)->name);
}

int main(int argc, char **argv)
{
    const char *name;
    struct sl_wire wire;
    struct flock flock = {.body = fly_all};
    if (argc > 1) {
        ranks_run(atoi(argv[1]), flock_start, &flock);
    } else {
        if (sl_wire_choose(&name) != SL_OK || !name || sl_wire_load(name, 0, &wire) != SL_OK) {
            fprintf(stderr, "mpi_exchange: no wire: %s\n", sl_last_error());
            return SL_UNAVAILABLE;
        }
        ranks_here = wire.rank;
        flock_start(&wire, &flock);
    }
    if (rank_wrong[0])
        fprintf(stderr, "mpi_exchange: %s\n", rank_wrong);
    return rank_wrong[0] ? SL_INTERNAL : SL_OK;
}
