#include "comm/inbox.h"

#include <stdlib.h>
#include <string.h>

#include "comm/host_room.h"
#include "kernels/launch.h"
#include "kernels/threshold/threshold.h"

/* Room that grows; what is in it is lost when it does, unless the host keeps it. */
struct room {
    void *at;
    size_t bytes;
};

struct sl_inbox {
    struct sl_comm *comm;
    const struct sl_group *group;
    const struct sl_device *device;
    int64_t n, chunks;
    uint64_t *announced; /* [ranks] bytes of each message */
    size_t *sizes;       /* [ranks] the same, as the wire wants them */
    struct room messages, entries;
    struct sl_message *heads;        /* [ranks] */
    size_t *begins;                  /* [ranks] of a rank's entries among all */
    int64_t *offsets;                /* [ranks][chunks + 1] */
    struct sl_threshold_part *parts; /* [ranks], as the device sees them */
    /* Copies of entries, offsets and parts where the device does not read the host's memory. */
    struct room device_entries;
    void *device_offsets, *device_parts;
    struct sl_choice decode;
};

static int no_memory(const struct sl_inbox *inbox)
{
    return sl_fail(SL_SYSTEM, "out of memory for the messages of %d ranks", inbox->group->size);
}

static size_t offsets_bytes(const struct sl_inbox *inbox)
{
    return (size_t)inbox->group->size * (size_t)(inbox->chunks + 1) * sizeof(int64_t);
}

/* A half more than is needed, so that it seldom grows again. */
static uint64_t with_reserve(uint64_t bytes)
{
    return bytes + bytes / 2;
}

static int reserve(const struct sl_inbox *inbox, size_t bytes, struct room *room)
{
    if (bytes <= room->bytes)
        return SL_OK;
    const size_t wanted = with_reserve(bytes);
    void *grown = realloc(room->at, wanted);
    if (!grown)
        return no_memory(inbox);
    *room = (struct room){grown, wanted};
    return SL_OK;
}

/* The entries before `used` stay. */
static int reserve_entries(struct sl_inbox *inbox, size_t used, size_t entries)
{
    int rc = SL_OK;
    void *grown = NULL;
    const struct sl_device *device = inbox->device;
    const size_t bytes = entries * sizeof(uint32_t), wanted = with_reserve(bytes);
    if (!device->alloc_pinned)
        return reserve(inbox, bytes, &inbox->entries);
    if (bytes <= inbox->entries.bytes)
        return SL_OK;
    SL_TRY(sl_host_room_open(device, wanted, &grown));
    if (used)
        memcpy(grown, inbox->entries.at, used * sizeof(uint32_t));
    sl_host_room_close(device, inbox->entries.at);
    inbox->entries = (struct room){grown, wanted};
out:
    return rc;
}

static int reserve_on_device(const struct sl_inbox *inbox, size_t bytes, struct room *room)
{
    const struct sl_device *device = inbox->device;
    if (bytes <= room->bytes)
        return SL_OK;
    const size_t wanted = with_reserve(bytes);
    device->free(device->self, room->at);
    *room = (struct room){0};
    const int rc = device->alloc(device->self, wanted, &room->at);
    room->bytes = rc == SL_OK ? wanted : 0;
    return rc;
}

uint64_t sl_inbox_memory(const struct sl_device *device, int ranks, int64_t n, int64_t most)
{
    const uint64_t all = (uint64_t)ranks * (uint64_t)most, offsets = (uint64_t)sl_threshold_chunks(n) + 1;
    const uint64_t before_last = all - (uint64_t)most; /* while the last message is read */
    const uint64_t on_device = device->host_memory ? 0 : with_reserve(all * sizeof(uint32_t));
    /* An entry takes less on the wire than read. */
    return with_reserve((before_last + (uint64_t)n) * sizeof(uint32_t)) + with_reserve(all * sizeof(uint32_t)) +
           on_device + (uint64_t)ranks * offsets * sizeof(int64_t);
}

int sl_inbox_open(struct sl_comm *comm, const struct sl_device *device, int64_t n, struct sl_inbox **inbox)
{
    int rc = SL_OK;
    const struct sl_threshold shape = {.n = n};
    const struct sl_group *group = sl_comm_group(comm);
    const size_t ranks = (size_t)group->size;
    struct sl_inbox *made = calloc(1, sizeof *made);
    if (!made)
        return sl_fail(SL_SYSTEM, "out of memory for the messages of %zu ranks", ranks);
    *made = (struct sl_inbox){.comm = comm, .group = group, .device = device, .n = n, .chunks = sl_threshold_chunks(n)};
    made->announced = calloc(ranks, sizeof *made->announced);
    made->sizes = calloc(ranks, sizeof *made->sizes);
    made->heads = calloc(ranks, sizeof *made->heads);
    made->begins = calloc(ranks, sizeof *made->begins);
    made->parts = calloc(ranks, sizeof *made->parts);
    made->offsets = malloc(offsets_bytes(made));
    if (!made->announced || !made->sizes || !made->heads || !made->begins || !made->parts || !made->offsets)
        SL_TRY(no_memory(made));
    if (!device->host_memory) {
        SL_TRY(device->alloc(device->self, offsets_bytes(made), &made->device_offsets));
        SL_TRY(device->alloc(device->self, ranks * sizeof *made->parts, &made->device_parts));
    }
    SL_TRY(sl_choose_threshold_decode(device, &shape, &made->decode));
    *inbox = made;
    made = NULL;
out:
    sl_inbox_close(made);
    return rc;
}

void sl_inbox_close(struct sl_inbox *inbox)
{
    if (!inbox)
        return;
    const struct sl_device *device = inbox->device;
    device->free(device->self, inbox->device_entries.at);
    device->free(device->self, inbox->device_offsets);
    device->free(device->self, inbox->device_parts);
    sl_choice_close(&inbox->decode);
    free(inbox->messages.at);
    sl_host_room_close(device, inbox->entries.at);
    free(inbox->announced);
    free(inbox->sizes);
    free(inbox->heads);
    free(inbox->begins);
    free(inbox->parts);
    free(inbox->offsets);
    free(inbox);
}

/* The lengths first. All ranks see the same ones, so all refuse alike. */
static int gather_sizes(struct sl_inbox *inbox, size_t bytes, size_t *total)
{
    int rc = SL_OK;
    const uint64_t mine = bytes, most = sl_message_most_bytes(inbox->n);
    *total = 0;
    SL_TRY(inbox->group->gather(inbox->group->self, &mine, sizeof mine, inbox->announced));
    for (int i = 0; i < inbox->group->size; i++) {
        if (inbox->announced[i] > most)
            SL_FAIL(SL_IO, "rank %d on %s announces a message of %llu bytes, which is more than the %llu it may have",
                    sl_comm_number(inbox->comm, i), inbox->group->hosts[i], (unsigned long long)inbox->announced[i],
                    (unsigned long long)most);
        inbox->sizes[i] = (size_t)inbox->announced[i];
        *total += inbox->sizes[i];
    }
out:
    return rc;
}

/* Rank after rank; a reader may need room for n entries. */
static int read_messages(struct sl_inbox *inbox, uint64_t step)
{
    int rc = SL_OK;
    const char *bytes = inbox->messages.at;
    size_t used = 0;
    for (int i = 0; i < inbox->group->size; i++) {
        struct sl_message *head = &inbox->heads[i];
        SL_TRY(reserve_entries(inbox, used, used + (size_t)inbox->n));
        *head = (struct sl_message){.step = step, .rank = (uint32_t)sl_comm_number(inbox->comm, i), .n = inbox->n};
        SL_TRY(sl_message_read(bytes, inbox->sizes[i], head, (uint32_t *)inbox->entries.at + used,
                               inbox->offsets + i * (inbox->chunks + 1)));
        inbox->begins[i] = used;
        used += (size_t)head->count;
        bytes += inbox->sizes[i];
    }
out:
    return rc;
}

int sl_inbox_gather(struct sl_inbox *inbox, const void *mine, size_t bytes, uint64_t step)
{
    int rc = SL_OK;
    size_t total;
    struct sl_request *request = NULL;
    SL_TRY(gather_sizes(inbox, bytes, &total));
    SL_TRY(reserve(inbox, total, &inbox->messages));
    SL_TRY(sl_comm_all_gather(inbox->comm, mine, inbox->messages.at, inbox->sizes, &request));
    SL_TRY(sl_comm_wait(inbox->comm, &request));
    SL_TRY(read_messages(inbox, step));
out:
    return rc;
}

/* Describes the parts by where the device finds them. */
static void fill_parts(struct sl_inbox *inbox, const uint32_t *entries, const int64_t *offsets)
{
    for (int i = 0; i < inbox->group->size; i++)
        inbox->parts[i] = (struct sl_threshold_part){entries + inbox->begins[i], offsets + i * (inbox->chunks + 1),
                                                     inbox->heads[i].tau};
}

/* Brings entries, offsets and parts to a device that does not read the host's memory. */
static int send_to_device(struct sl_inbox *inbox)
{
    int rc = SL_OK;
    const struct sl_device *device = inbox->device;
    const size_t last = (size_t)inbox->group->size - 1;
    const size_t count = inbox->begins[last] + (size_t)inbox->heads[last].count;
    SL_TRY(reserve_on_device(inbox, (count + 1) * sizeof(uint32_t), &inbox->device_entries));
    fill_parts(inbox, inbox->device_entries.at, inbox->device_offsets);
    if (count)
        SL_TRY(device->copy(device->self, inbox->device_entries.at, inbox->entries.at, count * sizeof(uint32_t)));
    SL_TRY(device->copy(device->self, inbox->device_offsets, inbox->offsets, offsets_bytes(inbox)));
    SL_TRY(device->copy(device->self, inbox->device_parts, inbox->parts, (last + 1) * sizeof *inbox->parts));
out:
    return rc;
}

int sl_inbox_decode(struct sl_inbox *inbox, float scale, float *sum)
{
    int rc = SL_OK;
    const bool on_host = inbox->device->host_memory;
    const struct sl_threshold shape = {.n = inbox->n};
    struct sl_threshold_decode args = {.parts = inbox->parts, .count = inbox->group->size, .scale = scale, .sum = sum};
    if (on_host) {
        fill_parts(inbox, inbox->entries.at, inbox->offsets);
    } else {
        SL_TRY(send_to_device(inbox));
        args.parts = inbox->device_parts;
    }
    SL_TRY(sl_launch_threshold_decode(&inbox->decode, &shape, &args));
    SL_TRY(inbox->device->sync(inbox->device->self));
out:
    return rc;
}

int64_t sl_inbox_count(const struct sl_inbox *inbox, int rank, int64_t begin, int64_t end)
{
    const uint32_t *entries = (const uint32_t *)inbox->entries.at + inbox->begins[rank];
    const int64_t count = inbox->heads[rank].count;
    return sl_threshold_count_below(entries, count, end) - sl_threshold_count_below(entries, count, begin);
}
