#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/flat.h"
#include "kernels/launch.h"
#include "runtime/base/hash.h"

/* What a rank says of its tensors. A status that is not SL_OK: it could not hash them. */
struct verdict {
    uint64_t hash;
    int64_t status;
};

/* The fingerprints of all chunks of all tensors, where the device makes them and where the host adds them up. */
struct chunks {
    const struct sl_device *device;
    struct sl_choice fingerprint;
    int64_t count;
    void *on_device;
    uint64_t *on_host;
};

static int open_chunks(const struct sl_device *device, const struct sl_agree_tensor *tensors, size_t count,
                       struct chunks *chunks)
{
    int rc = SL_OK;
    struct sl_flat longest = {.n = 1};
    *chunks = (struct chunks){.device = device};
    for (size_t i = 0; i < count; i++) {
        assert(tensors[i].floats <= UINT32_MAX);
        chunks->count += sl_flat_units(tensors[i].floats);
        longest.n = tensors[i].floats > longest.n ? tensors[i].floats : longest.n;
    }
    const size_t bytes = ((size_t)chunks->count + 1) * sizeof *chunks->on_host;
    SL_TRY(sl_choose_fingerprint(device, &longest, &chunks->fingerprint));
    SL_TRY(device->alloc(device->self, bytes, &chunks->on_device));
    chunks->on_host = device->host_memory ? chunks->on_device : malloc(bytes);
    if (!chunks->on_host)
        SL_FAIL(SL_SYSTEM, "out of memory for the fingerprints of %zu tensors", count);
out:
    return rc;
}

static void close_chunks(struct chunks *chunks)
{
    if (chunks->on_host != chunks->on_device)
        free(chunks->on_host);
    chunks->device->free(chunks->device->self, chunks->on_device);
    sl_choice_close(&chunks->fingerprint);
}

/* Where they lie: what comes to the host is 8 bytes for each chunk. */
static int fill_chunks(struct chunks *chunks, const struct sl_agree_tensor *tensors, size_t count)
{
    int rc = SL_OK;
    const struct sl_device *device = chunks->device;
    uint64_t *to = chunks->on_device;
    for (size_t i = 0; i < count; i++) {
        const struct sl_flat shape = {.n = tensors[i].floats};
        const struct sl_fingerprint args = {tensors[i].at, to};
        to += sl_flat_units(shape.n);
        if (shape.n)
            SL_TRY(sl_launch_fingerprint(&chunks->fingerprint, &shape, &args));
    }
    SL_TRY(device->sync(device->self));
    if (!device->host_memory && chunks->count)
        rc = device->copy(device->self, chunks->on_host, chunks->on_device,
                          (size_t)chunks->count * sizeof *chunks->on_host);
out:
    return rc;
}

/* hashes[count], one for each tensor. */
static int hash_each(const struct sl_device *device, const struct sl_agree_tensor *tensors, size_t count,
                     uint64_t *hashes)
{
    int rc = SL_OK;
    struct chunks chunks;
    SL_TRY(open_chunks(device, tensors, count, &chunks));
    SL_TRY(fill_chunks(&chunks, tensors, count));
    const uint64_t *from = chunks.on_host;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = 0;
        for (int64_t k = 0; k < sl_flat_units(tensors[i].floats); k++)
            hashes[i] += *from++;
    }
out:
    close_chunks(&chunks);
    return rc;
}

/* The rank whose hash most ranks have; of hashes that equally many have, that of the lowest rank. */
static int find_majority(const struct verdict *all, int size)
{
    int best = 0, most = 0;
    for (int r = 0; r < size; r++) {
        int same = 0;
        for (int i = 0; i < size; i++)
            same += all[i].hash == all[r].hash;
        if (same > most) {
            most = same;
            best = r;
        }
    }
    return best;
}

/* "rank 1 (a), rank 4 (b) and 3 more": those unlike the majority; *first is the first of them. */
static void list_minority(const struct sl_group *group, const struct verdict *all, int majority, int *first, char *text,
                          size_t room)
{
    enum { NAMED = 6, HOST_BYTES = 60 };
    size_t n = 0;
    int found = 0;
    for (int r = 0; r < group->size; r++) {
        if (all[r].hash == all[majority].hash)
            continue;
        if (found++ == 0)
            *first = r;
        if (found <= NAMED && n < room)
            n +=
                (size_t)snprintf(text + n, room - n, "%srank %d (%.*s)", n ? ", " : "", r, HOST_BYTES, group->hosts[r]);
    }
    if (found > NAMED && n < room)
        snprintf(text + n, room - n, " and %d more", found - NAMED);
}

/* The first of `count` tensors whose hashes differ between the parts of two ranks; NULL: they have other tensors. */
static const char *first_difference(const struct sl_agree_tensor *tensors, size_t count, const char *all,
                                    const size_t *offsets, int a, int b)
{
    const size_t bytes = count * sizeof(uint64_t);
    if (offsets[a + 1] - offsets[a] != bytes || offsets[b + 1] - offsets[b] != bytes)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (memcmp(all + offsets[a] + i * sizeof(uint64_t), all + offsets[b] + i * sizeof(uint64_t),
                   sizeof(uint64_t)) != 0)
            return tensors[i].name;
    return NULL;
}

/* Says who holds other bits than most, and where they begin to differ. */
static int name_minority(const struct sl_group *group, const struct sl_agree_tensor *tensors, size_t count,
                         const struct verdict *all, const uint64_t *hashes)
{
    int rc = SL_OK, first = 0;
    char minority[700];
    void *parts = NULL;
    size_t *offsets = calloc((size_t)group->size + 1, sizeof *offsets);
    const int majority = find_majority(all, group->size);
    if (!offsets)
        SL_FAIL(SL_SYSTEM, "out of memory for the hashes of %d ranks", group->size);
    SL_TRY(group->gather_parts(group->self, hashes, count * sizeof *hashes, &parts, offsets));
    list_minority(group, all, majority, &first, minority, sizeof minority);
    const char *name = first_difference(tensors, count, parts, offsets, majority, first);
    rc = sl_fail(SL_DISAGREE, "the parameters of %s are not those of rank %d (%s); the first that differs is %s",
                 minority, majority, group->hosts[majority], name ? name : "not known: the ranks have other tensors");
out:
    free(parts);
    free(offsets);
    return rc;
}

/* All ranks come to the same branch: all have the same verdicts. */
static int judge(const struct sl_group *group, const struct sl_agree_tensor *tensors, size_t count,
                 const struct verdict *all, const uint64_t *hashes)
{
    bool failed = false, same = true;
    for (int r = 0; r < group->size; r++) {
        failed |= all[r].status != SL_OK;
        same &= all[r].hash == all[0].hash;
    }
    if (failed)
        return sl_group_settle(group, (int)all[group->rank].status);
    return same ? SL_OK : name_minority(group, tensors, count, all, hashes);
}

int sl_agree_tensors(const struct sl_group *group, const struct sl_device *device,
                     const struct sl_agree_tensor *tensors, size_t count, uint64_t *hash)
{
    int rc = SL_OK;
    const bool alone = sl_group_size(group) == 1;
    struct verdict mine = {0}, *all = NULL;
    uint64_t *hashes = NULL;
    if (alone && !hash)
        return SL_OK;
    hashes = calloc(count + 1, sizeof *hashes);
    all = calloc((size_t)sl_group_size(group), sizeof *all);
    if (!hashes || !all)
        SL_FAIL(SL_SYSTEM, "out of memory for the hashes of %zu tensors of %d ranks", count, sl_group_size(group));
    mine.status = hash_each(device, tensors, count, hashes);
    mine.hash = sl_hash64(hashes, count * sizeof *hashes);
    if (alone) {
        rc = (int)mine.status;
    } else {
        SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
        SL_TRY(judge(group, tensors, count, all, hashes));
    }
    if (hash)
        *hash = mine.hash;
out:
    free(all);
    free(hashes);
    return rc;
}
