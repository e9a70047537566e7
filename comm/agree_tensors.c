#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/agree.h"
#include "runtime/base/hash.h"

enum { PIECE_BYTES = 1 << 20 }; /* of a device's memory that comes to the host at once */

/* What a rank says of its tensors. A status that is not SL_OK: it could not hash them. */
struct verdict {
    uint64_t hash;
    int64_t status;
};

/* Adds the tensor's bytes; `piece` is NULL where they can be read in place. */
static int add_tensor(const struct sl_device *device, const struct sl_agree_tensor *tensor, void *piece,
                      struct sl_hash *hash)
{
    const size_t bytes = (size_t)tensor->floats * sizeof(float);
    const char *from = (const char *)tensor->at;
    if (!piece) {
        sl_hash_update(hash, from, bytes);
        return SL_OK;
    }
    for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
        const size_t n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        const int rc = device->copy(device->self, piece, from + at, n);
        if (rc != SL_OK)
            return rc;
        sl_hash_update(hash, piece, n);
    }
    return SL_OK;
}

/* One hash over all of the tensors. */
static int hash_together(const struct sl_device *device, const struct sl_agree_tensor *tensors, size_t count,
                         uint64_t *digest)
{
    int rc = SL_OK;
    void *piece = NULL;
    struct sl_hash *hash = NULL;
    SL_TRY(sl_hash_open(&hash));
    if (!device->host_memory) {
        if (!(piece = malloc(PIECE_BYTES)))
            SL_FAIL(SL_SYSTEM, "out of memory for a copy of the parameters");
        SL_TRY(device->sync(device->self));
    }
    for (size_t i = 0; i < count; i++)
        SL_TRY(add_tensor(device, &tensors[i], piece, hash));
    *digest = sl_hash_digest(hash);
out:
    free(piece);
    sl_hash_close(hash);
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

/* The hashes tensor by tensor, which only a disagreement needs. */
static int explain(const struct sl_group *group, const struct sl_device *device, const struct sl_agree_tensor *tensors,
                   size_t count, const struct verdict *all)
{
    int rc = SL_OK;
    uint64_t *hashes = calloc(count ? count : 1, sizeof *hashes);
    if (!hashes)
        rc = sl_fail(SL_SYSTEM, "out of memory for the hashes of %zu tensors", count);
    for (size_t i = 0; rc == SL_OK && i < count; i++)
        rc = hash_together(device, &tensors[i], 1, &hashes[i]);
    rc = sl_group_settle(group, rc);
    if (rc == SL_OK)
        rc = name_minority(group, tensors, count, all, hashes);
    free(hashes);
    return rc;
}

/* All ranks come to the same branch: all have the same verdicts. */
static int judge(const struct sl_group *group, const struct sl_device *device, const struct sl_agree_tensor *tensors,
                 size_t count, const struct verdict *all)
{
    bool failed = false, same = true;
    for (int r = 0; r < group->size; r++) {
        failed |= all[r].status != SL_OK;
        same &= all[r].hash == all[0].hash;
    }
    if (failed)
        return sl_group_settle(group, (int)all[group->rank].status);
    return same ? SL_OK : explain(group, device, tensors, count, all);
}

int sl_agree_tensors(const struct sl_group *group, const struct sl_device *device,
                     const struct sl_agree_tensor *tensors, size_t count, uint64_t *hash)
{
    int rc = SL_OK;
    struct verdict mine = {0}, *all = NULL;
    if (!group || group->size == 1)
        return hash ? hash_together(device, tensors, count, hash) : SL_OK;
    if (!(all = calloc((size_t)group->size, sizeof *all)))
        SL_FAIL(SL_SYSTEM, "out of memory for the hashes of %d ranks", group->size);
    mine.status = hash_together(device, tensors, count, &mine.hash);
    SL_TRY(group->gather(group->self, &mine, sizeof mine, all));
    SL_TRY(judge(group, device, tensors, count, all));
    if (hash)
        *hash = mine.hash;
out:
    free(all);
    return rc;
}
