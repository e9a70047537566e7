#include "runtime/prepare/verify.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"
#include "runtime/data/jpeg.h"
#include "runtime/data/orientation.h"
#include "runtime/base/hash.h"

enum { MAX_THREADS = 256 };

struct job {
    const struct sl_image_list *files;
    int32_t image_size;
    bool apply_orientation, stop;
    struct sl_verdict *verdicts;
    atomic_size_t next, end; /* files from `end` on need not be read */
};

struct worker {
    pthread_t thread;
    struct job *job;
    struct sl_jpeg *jpeg;
    uint8_t *rgb;
    struct sl_channel_sums sums;
};

static void add_sums(const uint8_t *rgb, size_t pixels, struct sl_channel_sums *sums)
{
    for (size_t c = 0; c < 3; c++) {
        uint64_t sum = 0, square = 0;
        for (size_t i = 0; i < pixels; i++) {
            const uint32_t value = rgb[i * 3 + c];
            sum += value;
            square += value * value;
        }
        sums->sum[c] += sum;
        sums->square[c] += square;
    }
    sums->pixels += pixels;
}

static int read_image(struct worker *worker, const char *path, struct sl_verdict *verdict)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length = 0;
    const int32_t size = worker->job->image_size;
    SL_TRY(sl_io_read(path, SL_JPEG_MAX_BYTES, &bytes, &length));
    verdict->hash = sl_hash64(bytes, length);
    verdict->turned = sl_orientation_of_jpeg(bytes, length) != 1;
    rc = sl_jpeg_decode(worker->jpeg, bytes, length, size, worker->job->apply_orientation, worker->rgb);
    if (rc != SL_OK) {
        sl_fail_prefix(rc, "%s", path);
        goto out;
    }
    add_sums(worker->rgb, (size_t)size * (size_t)size, &worker->sums);
out:
    free(bytes);
    return rc;
}

static void lower_end(struct job *job, size_t index)
{
    size_t end = atomic_load(&job->end);
    while (index < end && !atomic_compare_exchange_weak(&job->end, &end, index))
        ;
}

/* What a status says about the image, not about the machine: such an image may be left out. */
static bool is_verdict(int status)
{
    return status == SL_BAD_DATA || status == SL_MISSING;
}

/* Files are taken in order, so when one fails all before it have been taken: the first failure is always found. */
static void *work(void *self)
{
    struct worker *worker = self;
    struct job *job = worker->job;
    for (;;) {
        const size_t i = atomic_fetch_add(&job->next, 1);
        if (i >= atomic_load(&job->end))
            return NULL;
        struct sl_verdict *verdict = &job->verdicts[i];
        verdict->status = read_image(worker, job->files->at[i].path, verdict);
        if (verdict->status == SL_OK)
            continue;
        verdict->reason = strdup(sl_last_error());
        if (!verdict->reason)
            verdict->status = SL_SYSTEM;
        if (job->stop || !is_verdict(verdict->status))
            lower_end(job, i);
    }
}

/* The first failure that is no verdict, if none before it stops the caller. */
static int first_failure(const struct job *job)
{
    for (size_t i = 0; i < job->files->count; i++) {
        const struct sl_verdict *verdict = &job->verdicts[i];
        if (verdict->status != SL_OK && !is_verdict(verdict->status))
            return sl_fail(verdict->status, "%s", verdict->reason ? verdict->reason : "out of memory for a message");
        if (verdict->status != SL_OK && job->stop)
            break;
    }
    return SL_OK;
}

static int worker_open(struct worker *worker, struct job *job)
{
    const size_t size = (size_t)job->image_size;
    worker->job = job;
    worker->rgb = malloc(size * size * 3);
    if (!worker->rgb)
        return sl_fail(SL_SYSTEM, "out of memory for images to decode");
    return sl_jpeg_open(&worker->jpeg);
}

int sl_verify(const struct sl_image_list *files, const struct sl_verify_options *options, struct sl_verdict *verdicts,
              struct sl_channel_sums *sums)
{
    int rc = SL_OK;
    const int threads = options->threads, count = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    int started = 0;
    struct job job = {.files = files,
                      .image_size = options->image_size,
                      .apply_orientation = options->apply_orientation,
                      .stop = options->stop,
                      .verdicts = verdicts};
    struct worker *workers = calloc((size_t)count, sizeof *workers);
    atomic_init(&job.next, 0);
    atomic_init(&job.end, files->count);
    if (!workers)
        SL_FAIL(SL_SYSTEM, "out of memory for %d threads", count);
    for (int i = 0; i < count; i++)
        SL_TRY(worker_open(&workers[i], &job));
    for (; started < count; started++)
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    if (started == 0)
        SL_FAIL(SL_SYSTEM, "the system refuses a thread for decoding images");
out:
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; workers && i < count; i++) {
        sums->pixels += workers[i].sums.pixels;
        for (size_t c = 0; c < 3; c++) {
            sums->sum[c] += workers[i].sums.sum[c];
            sums->square[c] += workers[i].sums.square[c];
        }
        sl_jpeg_close(workers[i].jpeg);
        free(workers[i].rgb);
    }
    free(workers);
    return rc == SL_OK ? first_failure(&job) : rc;
}
