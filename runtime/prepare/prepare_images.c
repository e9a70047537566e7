#include "runtime/prepare/prepare_images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"

/* Images in one portion of work, after which progress can be told. */
enum { FEWEST = 64, MOST = 1 << 16 };

/* Takes the unreadable files out of the list (and out of verdicts, which stay parallel). */
static void drop_unreadable(struct sl_image_list *list, struct sl_verdict *verdicts)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (verdicts[i].status != SL_OK) {
            free(list->at[i].path);
            free(list->at[i].key);
            free(verdicts[i].reason);
            continue;
        }
        list->at[kept] = list->at[i];
        verdicts[kept++] = verdicts[i];
    }
    list->count = kept;
}

/* Verifies the list in portions of about a fifth of a second. */
static int verify_all(struct sl_prepare_pass *pass, const struct sl_image_list *list, struct sl_verdict *verdicts,
                      struct sl_channel_sums *sums)
{
    int rc = SL_OK;
    const struct sl_prepare_options *options = pass->options;
    const bool stop = !options->skip_bad_images;
    const struct sl_verify_options how = {options->image_size, options->apply_orientation, options->threads, stop};
    size_t each = FEWEST, n = 0;
    for (size_t first = 0; first < list->count; first += n) {
        n = list->count - first < each ? list->count - first : each;
        const struct sl_image_list part = {.count = n, .at = list->at + first};
        const double start = sl_clock();
        SL_TRY(sl_verify(&part, &how, verdicts + first, sums));
        sl_prepare_advance(pass, n);
        each = sl_clock() - start < 0.1 && each < MOST ? 2 * each : each;
        for (size_t i = first; stop && i < first + n; i++)
            if (verdicts[i].status != SL_OK)
                goto out;
    }
out:
    return rc;
}

int sl_prepare_verify(struct sl_prepare_pass *pass, struct sl_image_list *list, struct sl_verdict **verdicts,
                      struct sl_channel_sums *sums, struct sl_dataset *dataset)
{
    int rc = SL_OK;
    const struct sl_prepare_options *options = pass->options;
    const size_t count = list->count;
    struct sl_verdict *all = *verdicts = calloc(count + 1, sizeof *all);
    if (!all)
        SL_FAIL(SL_SYSTEM, "out of memory for %zu images", count);
    SL_TRY(verify_all(pass, list, all, sums));
    for (size_t i = 0; i < count; i++) {
        if (all[i].status == SL_OK) {
            dataset->turned += all[i].turned;
            continue;
        }
        if (!options->skip_bad_images)
            SL_FAIL(SL_BAD_DATA, "%s; remove it, or leave such images out with --on-bad-image skip", all[i].reason);
        sl_tell(options->report, options->self, "skipped %s", all[i].reason);
        dataset->skipped++;
    }
    drop_unreadable(list, all);
out:
    for (size_t i = 0; rc != SL_OK && all && i < count; i++) {
        free(all[i].reason);
        all[i].reason = NULL;
    }
    return rc;
}

/* ---- images in both splits ---- */

struct hashed {
    uint64_t hash;
    const char *path;
};

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = ((const struct hashed *)a)->hash, y = ((const struct hashed *)b)->hash;
    return (x > y) - (x < y);
}

int sl_prepare_compare(const struct sl_prepare_options *options, const struct sl_scan *scan,
                       const struct sl_verdict *train, const struct sl_verdict *val)
{
    int rc = SL_OK;
    size_t shared = 0;
    const char *example = NULL, *twin = NULL;
    struct hashed *known = calloc(scan->train.count + 1, sizeof *known);
    if (!known)
        SL_FAIL(SL_SYSTEM, "out of memory for the hashes of %zu images", scan->train.count);
    for (size_t i = 0; i < scan->train.count; i++)
        known[i] = (struct hashed){train[i].hash, scan->train.at[i].path};
    qsort(known, scan->train.count, sizeof *known, by_hash);
    for (size_t i = 0; i < scan->val.count; i++) {
        const struct hashed wanted = {val[i].hash, NULL};
        const struct hashed *found = bsearch(&wanted, known, scan->train.count, sizeof *known, by_hash);
        if (found && shared++ == 0) {
            example = scan->val.at[i].path;
            twin = found->path;
        }
    }
    if (shared > 0)
        sl_tell(options->report, options->self,
                "warning: %zu of %zu validation images are training images too, byte for byte, such as %s and %s; "
                "what is measured on them flatters",
                shared, scan->val.count, example, twin);
out:
    free(known);
    return rc;
}
