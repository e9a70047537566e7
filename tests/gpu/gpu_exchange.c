/* Every exchange on one GPU, twice: as a rank alone, and in a node of one over NCCL. Both have the same bits.
 *   gpu_exchange [--emulated]
 * --emulated: on a GPU that is the processor, to test this program over a fake NCCL. Exit: 0, 1 (other bits, or a call
 * failed), 77 (there is no GPU, no plug-in or no NCCL; the reason is printed). */
#include "runtime/device/backend.h"
#include "tests/exchange_fixture.h"
#include "tests/gpu/emulated_device.h"
#include "tests/gpu/node_of_one.h"

enum { SKIP = 77, PARAMETERS = 1077160, FEW = 20011, STEPS = 20 };

struct trial {
    struct flock_rank rank;
    struct sl_team team;
    int64_t n;
};

static struct flight *fly(struct trial *trial, const struct sl_exchange_row *row, enum sl_combine combine,
                          const struct sl_team *team)
{
    struct flight *flight = flight_new(row->name, trial->n, STEPS);
    flight->combine = combine;
    flight->clip_multiple = 5.0;
    flight->clip_every = 5;
    flight->flush = true;
    trial->rank.team = team;
    flight_body(&trial->rank, flight);
    return flight;
}

static bool try_exchange(struct trial *trial, const struct sl_exchange_row *row, enum sl_combine combine)
{
    struct flight *alone = fly(trial, row, combine, NULL), *joined = fly(trial, row, combine, &trial->team);
    const bool ended = alone->rc[0] == SL_OK && joined->rc[0] == SL_OK;
    const bool same = ended && !memcmp(alone->hashes, joined->hashes, sizeof alone->hashes);
    const double each = 1e6 / (STEPS - 1);
    printf("%-6s %-10s %-5s %9.1f us a step, in the node %9.1f us  %s%s\n", same ? "ok" : "FAILED", row->name,
           combine == SL_COMBINE_SUM ? "sum" : "mean", alone->took * each, joined->took * each,
           ended ? "" : alone->text[0], ended ? "" : joined->text[0]);
    flight_free(alone);
    flight_free(joined);
    return same;
}

static int try_all(struct trial *trial)
{
    bool all = true;
    for (size_t i = 0; sl_exchange_at(i); i++)
        for (int combine = SL_COMBINE_MEAN; combine <= SL_COMBINE_SUM; combine++)
            all = try_exchange(trial, sl_exchange_at(i), (enum sl_combine)combine) && all;
    return all ? SL_OK : SL_INTERNAL;
}

static int open_comm(struct sl_comm **comm)
{
    struct sl_wire wire;
    const int rc = sl_wire_loop_open(1, &wire);
    return rc == SL_OK ? sl_comm_open(&wire, &(struct sl_comm_options){0}, comm) : rc;
}

static int run(struct trial *trial)
{
    int rc = SL_OK;
    struct sl_node node;
    int version;
    SL_TRY(open_comm(&trial->rank.comm));
    SL_TRY(node_of_one_open(SL_KERNELS_ABI, &trial->rank.device, &node, &version));
    trial->rank.size = 1;
    trial->team = sl_team_apart(trial->rank.comm);
    trial->team.node = node;
    rc = try_all(trial);
    const int left = node_of_one_close(&node);
    rc = rc == SL_OK ? left : rc;
out:
    sl_comm_close(trial->rank.comm, SL_OK);
    return rc;
}

int main(int argc, char **argv)
{
    const bool emulated = argc == 2 && !strcmp(argv[1], "--emulated");
    struct trial trial = {.n = emulated ? FEW : PARAMETERS};
    struct sl_device *device = &trial.rank.device;
    if (argc > 1 && !emulated) {
        fprintf(stderr, "usage: gpu_exchange [--emulated]\n");
        return SL_USAGE;
    }
    int rc = emulated
                 ? emulated_device_open(device)
                 : sl_backend_open(&(struct sl_backend_options){.name = "cuda", .device_memory = 256 << 20}, device);
    if (rc == SL_OK)
        rc = run(&trial);
    if (rc == SL_UNAVAILABLE)
        printf("skipped: %s\n", sl_last_error());
    else
        printf("gpu_exchange on %s: %s\n", device->name, rc == SL_OK ? "the same bits" : sl_last_error());
    if (device->close)
        device->close(device->self);
    return rc == SL_UNAVAILABLE ? SKIP : rc != SL_OK;
}
