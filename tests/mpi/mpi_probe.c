/* What tests start under a launcher, or as threads of one process: calls of all kinds, and ranks that fail.
 *   mpi_probe alone               opens the wire of the environment and says its name, rank and size
 *   mpi_probe verbs [RANKS]       every call with many lengths; prints each rank's digest of all that it received. With
 *                                 RANKS as that many threads over a loop
 *   mpi_probe lengths             calls that are too long; says how each is refused
 *   mpi_probe steps FOLDER        steps for ever; each rank writes its process into FOLDER/RANK
 *   mpi_probe fail RANK STATUS    that rank leaves in its tenth step, the others go on
 *   mpi_probe settle STATUS       all ranks leave with it in their tenth step
 *   mpi_probe late STATUS         the same at once, rank 0 some time after the others' grace
 *   mpi_probe pending STATUS      the same at once, and all but rank 0 have begun a call that nobody ends
 * SL_PROBE_LIMIT: seconds that a rank may wait. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/comm.h"
#include "comm/wire_find.h"
#include "runtime/base/hash.h"
#include "tests/ranks.h"

struct order {
    const char *verb, *first;
    int number;
};

static void open_comm(struct sl_wire *wire, struct sl_comm **comm)
{
    const char *limit = getenv("SL_PROBE_LIMIT");
    const double seconds = limit ? strtod(limit, NULL) : 0;
    const struct sl_comm_options options = {.start_limit = seconds, .step_limit = seconds, .grace = 1};
    if (sl_comm_open(wire, &options, comm) == SL_OK)
        return;
    fprintf(stderr, "mpi_probe: %s\n", sl_last_error());
    exit(SL_IO);
}

static int leave(struct sl_comm *comm, int rc)
{
    if (rc != SL_OK)
        fprintf(stderr, "mpi_probe: rank %d: %s\n", sl_comm_group(comm)->rank, sl_last_error());
    sl_comm_close(comm, rc);
    return rc;
}

/* ---- verbs ---- */

enum { ROUNDS = 12, MOST_BYTES = 200000 };

static size_t length_of(int round, int rank)
{
    static const size_t lengths[] = {1, 0, 7, 64, 1000, 0, 4096, 65537, 3, MOST_BYTES};
    return lengths[(size_t)(round + 3 * rank) % (sizeof lengths / sizeof *lengths)];
}

static void fill(uint8_t *to, size_t bytes, int round, int rank)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(i * 31 + (size_t)(round * 7 + rank * 13));
}

/* Two calls on their way at once. */
static int call_both(struct sl_comm *comm, int round, uint8_t *mine, uint8_t *all, struct sl_hash *hash)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    size_t bytes[RANKS_MOST], total = 0, part = length_of(round, 0) / 8;
    uint8_t *exchanged = all + (size_t)RANKS_MOST * MOST_BYTES;
    struct sl_request *gathering = NULL, *exchanging = NULL;
    for (int i = 0; i < group->size; i++)
        total += bytes[i] = length_of(round, i);
    fill(mine, MOST_BYTES, round, group->rank);
    SL_TRY(sl_comm_all_gather(comm, mine, all, bytes, &gathering));
    SL_TRY(sl_comm_all_to_all(comm, mine, exchanged, part, &exchanging));
    SL_TRY(sl_comm_wait(comm, &exchanging));
    SL_TRY(sl_comm_wait(comm, &gathering));
    sl_hash_update(hash, all, total);
    sl_hash_update(hash, exchanged, part * (size_t)group->size);
out:
    return rc;
}

static int call_group(struct sl_comm *comm, int round, const uint8_t *mine, struct sl_hash *hash)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    void *parts = NULL;
    size_t offsets[RANKS_MOST + 1];
    struct sl_vote vote = {.loss_sum = 0.1 * (group->rank + round), .samples = 3, .bad = group->rank == round};
    SL_TRY(sl_group_vote(group, &vote));
    SL_TRY(group->gather_parts(group->self, mine, length_of(round, group->rank + 1), &parts, offsets));
    sl_hash_update(hash, parts, offsets[group->size]);
    sl_hash_update(hash, &vote.loss_sum, sizeof vote.loss_sum);
    sl_hash_update(hash, &vote.bad, sizeof vote.bad);
    const int alone = group->rank == round ? sl_fail(SL_NUMERICS, "round %d", round) : SL_OK;
    const int settled = sl_group_settle(group, alone);
    if (settled != (round < group->size ? SL_NUMERICS : SL_OK))
        SL_FAIL(SL_INTERNAL, "settled %d in round %d", settled, round);
out:
    free(parts);
    return rc;
}

/* The even ranks among themselves, while the others wait for the next call of all. */
static int call_in_a_part(struct sl_comm *comm, uint8_t *mine, uint8_t *all, struct sl_hash *hash)
{
    int rc = SL_OK;
    struct sl_comm *part = NULL;
    SL_TRY(sl_comm_split(comm, sl_comm_group(comm)->rank % 2 == 0, &part));
    for (int round = 0; part && round < ROUNDS; round++)
        SL_TRY(call_both(part, round, mine, all, hash));
out:
    sl_comm_close_part(part);
    return rc;
}

static int call_all(struct sl_comm *comm)
{
    int rc = SL_OK;
    struct sl_hash *hash = NULL;
    uint8_t *mine = malloc(MOST_BYTES), *all = malloc(2 * (size_t)RANKS_MOST * MOST_BYTES);
    if (!mine || !all)
        SL_FAIL(SL_SYSTEM, "out of memory");
    SL_TRY(sl_hash_open(&hash));
    for (int round = 0; round < ROUNDS; round++) {
        SL_TRY(call_both(comm, round, mine, all, hash));
        SL_TRY(call_group(comm, round, mine, hash));
    }
    SL_TRY(call_in_a_part(comm, mine, all, hash));
    printf("%d of %d: %016" PRIx64 " %" PRIu64 "\n", sl_comm_group(comm)->rank, sl_comm_group(comm)->size,
           sl_hash_digest(hash), sl_comm_bytes_sent(comm));
    fflush(stdout);
out:
    sl_hash_close(hash);
    free(mine);
    free(all);
    return rc;
}

static void run_loop_rank(struct sl_wire *wire, void *self)
{
    struct sl_comm *comm = NULL;
    (void)self;
    open_comm(wire, &comm);
    if (leave(comm, call_all(comm)) != SL_OK)
        exit(SL_INTERNAL);
}

/* ---- steps ---- */

static int write_process(const char *folder, int rank)
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
static int step_for_ever(struct sl_comm *comm, const struct order *order)
{
    int rc = SL_OK;
    const struct sl_group *group = sl_comm_group(comm);
    static const struct timespec pause = {.tv_nsec = 10000000};
    for (uint64_t step = 0;; step++) {
        int all[RANKS_MOST];
        sl_comm_enter(comm, SL_PHASE_TRAINING, step);
        SL_TRY(group->gather(group->self, &group->rank, sizeof group->rank, all));
        if (step == 10 && strcmp(order->verb, "settle") == 0)
            SL_FAIL(atoi(order->first), "settled by all");
        if (step == 10 && strcmp(order->verb, "fail") == 0 && group->rank == atoi(order->first))
            SL_FAIL(order->number, "alone");
        if (step == 10 && strcmp(order->verb, "steps") == 0)
            SL_TRY(write_process(order->first, group->rank));
        nanosleep(&pause, NULL);
    }
out:
    return rc;
}

/* Nothing is read or written, so there need not be that much memory. */
static int call_too_long(struct sl_comm *comm)
{
    uint8_t byte = 0;
    size_t bytes[RANKS_MOST] = {(size_t)1 << 30, (size_t)1 << 31};
    struct sl_request *request = NULL;
    if (sl_comm_all_to_all(comm, &byte, &byte, (size_t)1 << 40, &request) == SL_UNAVAILABLE)
        puts(sl_last_error());
    if (sl_comm_all_gather(comm, &byte, &byte, bytes, &request) == SL_UNAVAILABLE)
        puts(sl_last_error());
    fflush(stdout);
    return SL_OK;
}

static int leave_late(struct sl_comm *comm, int status)
{
    static const struct timespec late = {.tv_sec = 2};
    if (sl_comm_wire(comm)->rank == 0)
        nanosleep(&late, NULL);
    sl_comm_close_together(comm, status);
    return status;
}

static int leave_pending(struct sl_comm *comm, int status)
{
    static uint8_t byte, all[RANKS_MOST];
    static const size_t bytes[RANKS_MOST] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct sl_request *request = NULL;
    int rc = SL_OK;
    if (sl_comm_wire(comm)->rank > 0)
        rc = sl_comm_all_gather(comm, &byte, all, bytes, &request);
    return leave(comm, rc == SL_OK ? sl_fail(status, "in the middle of a call") : rc);
}

static int run_order(struct sl_comm *comm, const struct order *order)
{
    const struct sl_wire *wire = sl_comm_wire(comm);
    if (strcmp(order->verb, "late") == 0)
        return leave_late(comm, atoi(order->first));
    if (strcmp(order->verb, "pending") == 0)
        return leave_pending(comm, atoi(order->first));
    if (strcmp(order->verb, "lengths") == 0)
        return leave(comm, call_too_long(comm));
    if (strcmp(order->verb, "verbs") == 0)
        return leave(comm, call_all(comm));
    if (strcmp(order->verb, "alone") != 0)
        return leave(comm, step_for_ever(comm, order));
    printf("%s, rank %d of %d, %d of %d on its host\n", wire->name, wire->rank, wire->size, sl_comm_local_rank(comm),
           sl_comm_local_size(comm));
    fflush(stdout);
    return leave(comm, SL_OK);
}

int main(int argc, char **argv)
{
    int rc = SL_OK;
    const char *name = NULL, *limit = getenv("SL_PROBE_LIMIT");
    struct sl_wire wire;
    struct sl_comm *comm = NULL;
    const struct order order = {argc > 1 ? argv[1] : "alone", argc > 2 ? argv[2] : "", argc > 3 ? atoi(argv[3]) : 0};
    if (argc > 2 && strcmp(order.verb, "verbs") == 0) {
        ranks_run(atoi(argv[2]), run_loop_rank, NULL);
        return 0;
    }
    SL_TRY(sl_wire_choose(&name));
    if (!name) {
        puts("alone");
        return 0;
    }
    SL_TRY(sl_wire_load(name, limit ? strtod(limit, NULL) : 0, &wire));
    open_comm(&wire, &comm);
    return run_order(comm, &order);
out:
    fprintf(stderr, "mpi_probe: %s\n", sl_last_error());
    return rc;
}
