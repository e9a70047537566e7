#include "runtime/data/verify.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/file.h"
#include "runtime/data/jpeg.h"
#include "runtime/hash.h"

enum { MAX_THREADS = 256 };

struct job {
    const struct sl_image_list *files;
    int32_t image_size;
    bool stop;
    struct sl_verdict *verdicts;
    atomic_size_t next, end; /* files from `end` on need not be read */
};

struct worker {
    pthread_t thread;
    struct job *job;
    struct sl_jpeg *jpeg;
    uint8_t *rgb;
    struct sl_channel_sums sums;
    int status;
    char detail[256];
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
    SL_TRY(sl_file_read(path, SL_JPEG_MAX_BYTES, &bytes, &length));
    verdict->hash = sl_hash64(bytes, length);
    rc = sl_jpeg_decode(worker->jpeg, bytes, length, size, worker->rgb);
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

/* Files are taken in order, so when one is bad all before it have been taken: the first bad one is always found. */
static void *work(void *self)
{
    struct worker *worker = self;
    struct job *job = worker->job;
    for (;;) {
        const size_t i = atomic_fetch_add(&job->next, 1);
        if (i >= atomic_load(&job->end))
            return NULL;
        const int rc = read_image(worker, job->files->at[i].path, &job->verdicts[i]);
        if (rc == SL_OK)
            continue;
        job->verdicts[i].reason = strdup(sl_last_error());
        if (rc == SL_SYSTEM || !job->verdicts[i].reason) {
            worker->status = SL_SYSTEM;
            strncpy(worker->detail, sl_last_error(), sizeof worker->detail - 1);
            lower_end(job, 0);
        } else if (job->stop) {
            lower_end(job, i);
        }
    }
}

static int worker_open(struct worker *worker, struct job *job)
{
    const size_t size = (size_t)job->image_size;
    worker->job = job;
    worker->rgb = malloc(size * size * 3);
    if (!worker->rgb)
        return sl_fail(SL_SYSTEM, "no memory to decode images");
    return sl_jpeg_open(&worker->jpeg);
}

int sl_verify(const struct sl_image_list *files, int32_t image_size, int threads, bool stop,
              struct sl_verdict *verdicts, struct sl_channel_sums *sums)
{
    int rc = SL_OK;
    const int count = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    int started = 0;
    struct job job = {.files = files, .image_size = image_size, .stop = stop, .verdicts = verdicts};
    struct worker *workers = calloc((size_t)count, sizeof *workers);
    atomic_init(&job.next, 0);
    atomic_init(&job.end, files->count);
    if (!workers)
        SL_FAIL(SL_SYSTEM, "no memory for %d threads", count);
    for (int i = 0; i < count; i++)
        SL_TRY(worker_open(&workers[i], &job));
    for (; started < count; started++)
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    if (started == 0)
        SL_FAIL(SL_SYSTEM, "the system refuses a thread");
out:
    for (int i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; workers && i < count; i++) {
        if (workers[i].status != SL_OK)
            rc = sl_fail(workers[i].status, "%s", workers[i].detail);
        sums->pixels += workers[i].sums.pixels;
        for (size_t c = 0; c < 3; c++) {
            sums->sum[c] += workers[i].sums.sum[c];
            sums->square[c] += workers[i].sums.square[c];
        }
        sl_jpeg_close(workers[i].jpeg);
        free(workers[i].rgb);
    }
    free(workers);
    return rc;
}
