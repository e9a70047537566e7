/* The wire over MPI: the only file that knows it, compiled once for each library as a module of its own. Nothing here
 * waits inside MPI but the start, the end and the question for the hosts. */
#include "comm/wire_module.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef SL_WIRE_NAME
#define SL_WIRE_NAME "mpi"
#endif

/* Where a beat to a rank and one from it lie while they travel. At most one is on its way to each: whoever is stopped
 * costs the others nothing. */
struct peer {
    struct sl_beat out, in, newest;
    MPI_Request send, receive;
};

struct mpi {
    MPI_Comm calls, beats;
    int rank, size;
    struct sl_beat mine;
    struct peer *peers;
};

struct sl_request {
    MPI_Request handle;
    int *layout; /* lengths and places of a gather; NULL */
};

static int (*fail)(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The one place where MPI's codes become ours. */
static int check(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS)
        return SL_OK;
    MPI_Error_string(code, text, &length);
    return fail(SL_IO, "MPI (" SL_WIRE_NAME "): %s: %s", what, text);
}

/* ---- collective calls ---- */

static void free_request(struct sl_request *request)
{
    if (request)
        free(request->layout);
    free(request);
}

static int make_request(size_t places, struct sl_request **request)
{
    struct sl_request *made = calloc(1, sizeof *made);
    if (made)
        made->layout = places ? calloc(places, sizeof *made->layout) : NULL;
    if (!made || (places && !made->layout)) {
        free(made);
        return fail(SL_SYSTEM, "out of memory for a call of MPI");
    }
    *request = made;
    return SL_OK;
}

/* MPI counts in int. All ranks know all lengths, so all refuse alike. */
static int refuse_length(const char *what, size_t bytes)
{
    return fail(SL_UNAVAILABLE, "MPI (" SL_WIRE_NAME "): %s of %zu bytes, and a call takes at most %d", what, bytes,
                INT_MAX);
}

static int all_to_all(void *self, const void *send, void *receive, size_t bytes, struct sl_request **request)
{
    const struct mpi *mpi = self;
    struct sl_request *made = NULL;
    if (bytes > (size_t)INT_MAX / (size_t)mpi->size)
        return refuse_length("all-to-all, a part", bytes);
    int rc = make_request(0, &made);
    if (rc == SL_OK)
        rc = check(MPI_Ialltoall(send, (int)bytes, MPI_BYTE, receive, (int)bytes, MPI_BYTE, mpi->calls, &made->handle),
                   "MPI_Ialltoall");
    if (rc == SL_OK)
        *request = made;
    else
        free_request(made);
    return rc;
}

static int lay_out(const struct mpi *mpi, const size_t *bytes, int *layout)
{
    size_t at = 0;
    for (int i = 0; i < mpi->size; i++) {
        if (bytes[i] > (size_t)INT_MAX - at)
            return refuse_length("all-gather up to a part", bytes[i]);
        layout[i] = (int)bytes[i];
        layout[mpi->size + i] = (int)at;
        at += bytes[i];
    }
    return SL_OK;
}

static int all_gather(void *self, const void *mine, void *all, const size_t *bytes, struct sl_request **request)
{
    const struct mpi *mpi = self;
    struct sl_request *made = NULL;
    int rc = make_request(2 * (size_t)mpi->size, &made);
    if (rc == SL_OK)
        rc = lay_out(mpi, bytes, made->layout);
    if (rc == SL_OK)
        rc = check(MPI_Iallgatherv(mine, (int)bytes[mpi->rank], MPI_BYTE, all, made->layout, made->layout + mpi->size,
                                   MPI_BYTE, mpi->calls, &made->handle),
                   "MPI_Iallgatherv");
    if (rc == SL_OK)
        *request = made;
    else
        free_request(made);
    return rc;
}

static int test(void *self, struct sl_request *request, bool *done)
{
    (void)self;
    int flag = 0;
    const int rc = check(MPI_Test(&request->handle, &flag, MPI_STATUS_IGNORE), "MPI_Test");
    *done = rc == SL_OK && flag;
    if (*done || rc != SL_OK)
        free_request(request);
    return rc;
}

/* ---- hosts ---- */

/* leaders[i]: the lowest rank on the host of rank i. */
static int find_leaders(const struct mpi *mpi, int *leaders)
{
    MPI_Comm local = MPI_COMM_NULL;
    int leader = mpi->rank, rc;
    rc = check(MPI_Comm_split_type(mpi->calls, MPI_COMM_TYPE_SHARED, mpi->rank, MPI_INFO_NULL, &local),
               "MPI_Comm_split_type");
    if (rc != SL_OK)
        return rc;
    rc = check(MPI_Bcast(&leader, 1, MPI_INT, 0, local), "MPI_Bcast");
    if (rc == SL_OK)
        rc = check(MPI_Allgather(&leader, 1, MPI_INT, leaders, 1, MPI_INT, mpi->calls), "MPI_Allgather");
    MPI_Comm_free(&local);
    return rc;
}

static int hosts(void *self, int *numbers)
{
    const struct mpi *mpi = self;
    int count = 0;
    int *leaders = malloc((size_t)mpi->size * sizeof *leaders);
    if (!leaders)
        return fail(SL_SYSTEM, "out of memory for the hosts of %d ranks", mpi->size);
    const int rc = find_leaders(mpi, leaders);
    for (int i = 0; rc == SL_OK && i < mpi->size; i++)
        numbers[i] = leaders[i] == i ? count++ : numbers[leaders[i]];
    free(leaders);
    return rc;
}

/* ---- a part ---- */

static void free_mpi(struct mpi *mpi)
{
    if (mpi->beats != MPI_COMM_NULL)
        MPI_Comm_free(&mpi->beats);
    if (mpi->calls != MPI_COMM_NULL)
        MPI_Comm_free(&mpi->calls);
    free(mpi->peers);
    free(mpi);
}

static void leave_part(void *self)
{
    free_mpi(self);
}

static int split(void *self, bool member, struct sl_wire *part)
{
    const struct mpi *mpi = self;
    struct mpi *made = calloc(1, sizeof *made);
    if (!made)
        return fail(SL_SYSTEM, "out of memory for a part of %d ranks", mpi->size);
    made->calls = made->beats = MPI_COMM_NULL;
    const int rc =
        check(MPI_Comm_split(mpi->calls, member ? 0 : MPI_UNDEFINED, mpi->rank, &made->calls), "MPI_Comm_split");
    if (rc != SL_OK || !member) {
        free_mpi(made);
        return rc;
    }
    MPI_Comm_set_errhandler(made->calls, MPI_ERRORS_RETURN);
    MPI_Comm_rank(made->calls, &made->rank);
    MPI_Comm_size(made->calls, &made->size);
    *part = (struct sl_wire){.name = SL_WIRE_NAME,
                             .rank = made->rank,
                             .size = made->size,
                             .self = made,
                             .all_to_all = all_to_all,
                             .all_gather = all_gather,
                             .test = test,
                             .close = leave_part};
    return SL_OK;
}

/* ---- signs of life ---- */

/* Synchronous sends, so that what was sent has arrived, and at most one waits for a rank that does not take it. */
static int send_newest(struct mpi *mpi, int rank)
{
    struct peer *peer = &mpi->peers[rank];
    int done = 1, rc = SL_OK;
    if (peer->send != MPI_REQUEST_NULL)
        rc = check(MPI_Test(&peer->send, &done, MPI_STATUS_IGNORE), "MPI_Test of a beat");
    if (rc != SL_OK || !done || peer->out.count == mpi->mine.count)
        return rc;
    peer->out = mpi->mine;
    return check(MPI_Issend(&peer->out, sizeof peer->out, MPI_BYTE, rank, 0, mpi->beats, &peer->send), "MPI_Issend");
}

static int post_receive(struct mpi *mpi, int rank)
{
    struct peer *peer = &mpi->peers[rank];
    return check(MPI_Irecv(&peer->in, sizeof peer->in, MPI_BYTE, rank, 0, mpi->beats, &peer->receive), "MPI_Irecv");
}

static int take_arrived(struct mpi *mpi, int rank)
{
    struct peer *peer = &mpi->peers[rank];
    for (;;) {
        int done = 0;
        int rc = check(MPI_Test(&peer->receive, &done, MPI_STATUS_IGNORE), "MPI_Test of a beat");
        if (rc != SL_OK || !done)
            return rc;
        peer->newest = peer->in;
        if ((rc = post_receive(mpi, rank)) != SL_OK)
            return rc;
    }
}

static int send_to_all(struct mpi *mpi)
{
    int rc = SL_OK;
    for (int i = 0; rc == SL_OK && i < mpi->size; i++)
        if (i != mpi->rank)
            rc = send_newest(mpi, i);
    return rc;
}

static int tell(void *self, const struct sl_beat *mine)
{
    struct mpi *mpi = self;
    mpi->mine = *mine;
    return send_to_all(mpi);
}

static int hear(void *self, struct sl_beat *all)
{
    struct mpi *mpi = self;
    int rc = send_to_all(mpi);
    for (int i = 0; rc == SL_OK && i < mpi->size; i++) {
        if (i != mpi->rank)
            rc = take_arrived(mpi, i);
        all[i] = i == mpi->rank ? mpi->mine : mpi->peers[i].newest;
    }
    return rc;
}

/* ---- the end ---- */

static int end_code;

/* MPICH's launcher kills the ranks while it is still learning why; an exit that comes first keeps the code. */
static void end_now(void)
{
    _exit(end_code);
}

static void end(void *self, int code)
{
    const struct mpi *mpi = self;
    end_code = code;
    atexit(end_now);
    MPI_Abort(mpi->calls, code);
    end_now();
}

/* Takes beats until all of this rank's own have arrived, and all ranks have come so far: a beat of theirs may still
 * wait to be taken here, and a receive may only be dropped when nobody sends any more. */
static void take_last_beats(struct mpi *mpi)
{
    static const struct timespec moment = {.tv_nsec = 50000};
    MPI_Request barrier = MPI_REQUEST_NULL;
    int begun = 0, done = 0;
    struct sl_beat *heard = calloc((size_t)mpi->size, sizeof *heard);
    while (heard && !done && hear(mpi, heard) == SL_OK) {
        int sent = 1;
        for (int i = 0; i < mpi->size; i++)
            sent = sent && mpi->peers[i].send == MPI_REQUEST_NULL;
        if (sent && !begun)
            begun = MPI_Ibarrier(mpi->beats, &barrier) == MPI_SUCCESS;
        if (begun && MPI_Test(&barrier, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            break;
        nanosleep(&moment, NULL);
    }
    free(heard);
}

static void drop_receives(struct mpi *mpi)
{
    for (int i = 0; i < mpi->size; i++)
        if (mpi->peers[i].receive != MPI_REQUEST_NULL) {
            MPI_Cancel(&mpi->peers[i].receive);
            MPI_Wait(&mpi->peers[i].receive, MPI_STATUS_IGNORE);
        }
}

static void leave(void *self)
{
    struct mpi *mpi = self;
    take_last_beats(mpi);
    drop_receives(mpi);
    free_mpi(mpi);
    MPI_Finalize();
}

/* ---- the start ---- */

static int own_communicators(struct mpi *mpi)
{
    int rc;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if ((rc = check(MPI_Comm_dup(MPI_COMM_WORLD, &mpi->calls), "MPI_Comm_dup")) != SL_OK ||
        (rc = check(MPI_Comm_dup(MPI_COMM_WORLD, &mpi->beats), "MPI_Comm_dup")) != SL_OK)
        return rc;
    MPI_Comm_set_errhandler(mpi->calls, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(mpi->beats, MPI_ERRORS_RETURN);
    MPI_Comm_rank(mpi->calls, &mpi->rank);
    MPI_Comm_size(mpi->calls, &mpi->size);
    return SL_OK;
}

static int meet_peers(struct mpi *mpi)
{
    int rc = SL_OK;
    if (!(mpi->peers = calloc((size_t)mpi->size, sizeof *mpi->peers)))
        return fail(SL_SYSTEM, "out of memory for %d ranks", mpi->size);
    for (int i = 0; i < mpi->size; i++)
        mpi->peers[i].send = mpi->peers[i].receive = MPI_REQUEST_NULL;
    for (int i = 0; rc == SL_OK && i < mpi->size; i++)
        if (i != mpi->rank)
            rc = post_receive(mpi, i);
    return rc;
}

static int start(void)
{
    int granted = MPI_THREAD_SINGLE, started = 0;
    MPI_Initialized(&started);
    if (started)
        return fail(SL_UNAVAILABLE, "MPI (" SL_WIRE_NAME ") was started by somebody else in this process");
    const int rc = check(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &granted), "MPI_Init_thread");
    if (rc == SL_OK && granted < MPI_THREAD_MULTIPLE)
        return fail(SL_UNAVAILABLE,
                    "MPI (" SL_WIRE_NAME ") does not let several threads call it (MPI_THREAD_MULTIPLE), "
                    "which the watch over the ranks needs; use a build of it that does");
    return rc;
}

/* What was begun is left as it is if this fails: the program ends, and the launcher ends the others. */
__attribute__((visibility("default"))) int sl_wire_module_open(const struct sl_wire_host *host, struct sl_wire *wire);

int sl_wire_module_open(const struct sl_wire_host *host, struct sl_wire *wire)
{
    int rc;
    fail = host->fail;
    if (host->abi != SL_WIRE_ABI)
        return fail(SL_UNAVAILABLE, "this module speaks version %d of the wire, the program %u", SL_WIRE_ABI,
                    host->abi);
    if ((rc = start()) != SL_OK)
        return rc;
    struct mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi)
        return fail(SL_SYSTEM, "out of memory for MPI");
    mpi->calls = mpi->beats = MPI_COMM_NULL;
    if ((rc = own_communicators(mpi)) != SL_OK || (rc = meet_peers(mpi)) != SL_OK) {
        free_mpi(mpi);
        return rc;
    }
    *wire = (struct sl_wire){.name = SL_WIRE_NAME,
                             .rank = mpi->rank,
                             .size = mpi->size,
                             .self = mpi,
                             .all_to_all = all_to_all,
                             .all_gather = all_gather,
                             .test = test,
                             .hosts = hosts,
                             .split = split,
                             .tell = tell,
                             .hear = hear,
                             .abort = end,
                             .close = leave};
    return SL_OK;
}
