/* The CPU device: OpenMP threads, each with an even share of the slices. Which thread computes a slice never matters:
 * kernels cut their work by shape alone. */
#include "runtime/device/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "runtime/device/machine.h"
#include "runtime/device/slices.h"

enum {
    ALIGNMENT = 64,
    HUGE_PAGE = 2 << 20,
    FILL_BYTES = 4096,         /* of a unit of filling */
    FILLED_TOGETHER = 1 << 20, /* bytes from which on threads share the filling */
};

struct share;

struct cpu_device {
    int threads;
    size_t scratch_bytes; /* of one thread */
    char *scratch;        /* threads * scratch_bytes */
    struct share *shares; /* [threads]: of the fork that runs */
};

int sl_parallel_default_threads(void)
{
    return sl_machine_threads("").count;
}

/* What fills a huge page is laid out in them, where the system grants it: a transform touches 25 to 36 places at once,
 * and more of them than the processor has translations for would lie on small pages. */
static int cpu_alloc(void *self, size_t bytes, void **memory)
{
    (void)self;
    const size_t alignment = bytes < HUGE_PAGE ? ALIGNMENT : HUGE_PAGE;
    const size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    *memory = aligned_alloc(alignment, rounded ? rounded : alignment);
    if (!*memory)
        return sl_fail(SL_UNAVAILABLE, "out of memory: %zu bytes refused; use a smaller --batch-size", bytes);
    if (alignment == HUGE_PAGE)
        (void)madvise(*memory, rounded, MADV_HUGEPAGE);
    return SL_OK;
}

static void cpu_free(void *self, void *memory)
{
    (void)self;
    free(memory);
}

static int cpu_copy(void *self, void *to, const void *from, size_t bytes)
{
    (void)self;
    memcpy(to, from, bytes);
    return SL_OK;
}

/* A page more between threads, so that their rows do not meet in the same cache sets. */
static size_t scratch_of_thread(size_t bytes)
{
    return bytes ? (bytes + 4095) / 4096 * 4096 + 4096 + ALIGNMENT : 0;
}

uint64_t sl_parallel_scratch(const struct sl_device *device, size_t bytes)
{
    const int slices = device->threads > 0 ? device->threads : 1; /* a GPU runs all units at once */
    return (uint64_t)scratch_of_thread(bytes) * (uint64_t)slices;
}

/* Scratch grows to the largest kernel seen, so after the first step nothing is allocated. */
static int reserve_scratch(struct cpu_device *cpu, size_t bytes)
{
    const size_t rounded = scratch_of_thread(bytes);
    if (rounded <= cpu->scratch_bytes)
        return SL_OK;
    void *memory;
    const int rc = cpu_alloc(cpu, rounded * (size_t)cpu->threads, &memory);
    if (rc != SL_OK)
        return rc;
    free(cpu->scratch);
    cpu->scratch = memory;
    cpu->scratch_bytes = rounded;
    return SL_OK;
}

/* ---- slices ---- */

/* What a thread has to do: slices [next, end), a cache line for itself. */
struct share {
    _Alignas(ALIGNMENT) _Atomic int64_t next;
    int64_t end;
};

/* A fork: all units in even slices, and these in even shares. */
struct forked {
    const struct cpu_device *cpu;
    int64_t units, slices;
    sl_task_fn *task;
    void *task_self;
};

/* Whoever finds a share finished only looks, so that many can look at once. */
static void run_share(const struct forked *forked, int number, void *scratch)
{
    struct share *share = &forked->cpu->shares[number];
    for (;;) {
        if (atomic_load_explicit(&share->next, memory_order_relaxed) >= share->end)
            return;
        const int64_t slice = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
        if (slice >= share->end)
            return;
        forked->task(forked->task_self, &(const struct sl_work){.begin = sl_cut(forked->units, slice, forked->slices),
                                                                .end = sl_cut(forked->units, slice + 1, forked->slices),
                                                                .scratch = scratch});
    }
}

/* A thread takes its own share first: the same part of everything, so that what it wrote last is in its caches and its
 * memory. Then it looks for what is left of a few others', in steps that double, to level out unequal cores. A team may
 * have fewer threads than there are shares. */
static void run_thread(const struct forked *forked, int thread, int team)
{
    const struct cpu_device *cpu = forked->cpu;
    void *scratch = cpu->scratch ? cpu->scratch + cpu->scratch_bytes * (size_t)thread : NULL;
    for (int own = thread; own < cpu->threads; own += team)
        run_share(forked, own, scratch);
    for (int step = 1; step < cpu->threads; step *= 2)
        run_share(forked, (thread + step) % cpu->threads, scratch);
}

static int cpu_fork(void *self, int64_t units, size_t scratch_bytes, sl_task_fn *task, void *task_self)
{
    struct cpu_device *cpu = self;
    const int rc = reserve_scratch(cpu, scratch_bytes);
    if (rc != SL_OK)
        return rc;
    const struct forked forked = {cpu, units, sl_slices(units, cpu->threads), task, task_self};
    for (int t = 0; t < cpu->threads; t++) {
        cpu->shares[t].next = sl_cut(forked.slices, t, cpu->threads);
        cpu->shares[t].end = sl_cut(forked.slices, t + 1, cpu->threads);
    }
    /* All threads, also where fewer would do: OpenMP ends those that a region leaves out, and the next would have to
     * create them again. */
#pragma omp parallel num_threads(cpu->threads) if (forked.slices > 1)
    run_thread(&forked, omp_get_thread_num(), omp_get_num_threads());
    return SL_OK;
}

/* ---- memory that threads touch first ---- */

struct filling {
    char *to;
    int byte;
    size_t bytes;
};

static void fill_slice(void *self, const struct sl_work *work)
{
    const struct filling *f = self;
    const size_t begin = (size_t)work->begin * FILL_BYTES, end = (size_t)work->end * FILL_BYTES;
    memset(f->to + begin, f->byte, (end < f->bytes ? end : f->bytes) - begin);
}

/* Pages lie with the memory of the core that touches them first. So large runs are filled by the threads, each its
 * share of the slices: the pages it will compute on. */
static int cpu_fill(void *self, void *to, int byte, size_t bytes)
{
    struct filling filling = {to, byte, bytes};
    if (bytes >= FILLED_TOGETHER)
        return cpu_fork(self, (int64_t)((bytes + FILL_BYTES - 1) / FILL_BYTES), 0, fill_slice, &filling);
    memset(to, byte, bytes);
    return SL_OK;
}

static int cpu_sync(void *self)
{
    (void)self;
    return SL_OK;
}

static void cpu_close(void *self)
{
    struct cpu_device *cpu = self;
    if (cpu) {
        free(cpu->scratch);
        free(cpu->shares);
    }
    free(cpu);
}

/* ---- threads ---- */

static void *wait_at(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

static uint64_t live_threads(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 ? tasks.st_nlink : 0;
}

/* A thread that has been joined counts until the kernel has put it away, a moment later. */
static void wait_for_exits(uint64_t before)
{
    const struct timespec millisecond = {0, 1000000};
    for (int i = 0; i < 100 && live_threads() > before; i++)
        nanosleep(&millisecond, NULL);
}

/* OpenMP ends the process when the system refuses it a thread. So as many are tried first, all alive at once. */
static int try_threads(int count)
{
    int rc = SL_OK, made = 0, error = 0;
    const uint64_t before = live_threads();
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = malloc((size_t)count * sizeof *threads);
    if (!threads)
        return sl_fail(SL_SYSTEM, "out of memory for %d threads", count);
    pthread_mutex_lock(&gate);
    while (made < count && !error) {
        error = pthread_create(&threads[made], NULL, wait_at, &gate);
        made += !error;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < made; i++)
        pthread_join(threads[i], NULL);
    wait_for_exits(before);
    if (error)
        rc = sl_fail(SL_SYSTEM,
                     "the system grants %d of %d threads: %s; use --threads or OMP_NUM_THREADS, or raise the limit "
                     "(ulimit -u, pids of the control group)",
                     made + 1, count + 1, strerror(error));
    free(threads);
    return rc;
}

/* Has OpenMP create its threads now, which it keeps: later nobody can take their place. *count becomes what it made of
 * the wish (OMP_THREAD_LIMIT, OMP_DYNAMIC). */
static int start_threads(int *count)
{
    const int wanted = *count, rc = wanted > 1 ? try_threads(wanted - 1) : SL_OK;
    int present = 0;
    if (rc != SL_OK)
        return rc;
#pragma omp parallel num_threads(wanted) if (wanted > 1) reduction(+ : present)
    present++;
    *count = present;
    return SL_OK;
}

int sl_device_cpu_open(int threads, struct sl_device *device)
{
    int rc = SL_OK;
    struct cpu_device *cpu = NULL;
    SL_TRY(sl_isa_check());
    SL_TRY(sl_kernel_check());
    if (!(cpu = calloc(1, sizeof *cpu)))
        SL_FAIL(SL_SYSTEM, "out of memory while opening the CPU device");
    cpu->threads = threads > 0 ? threads : sl_parallel_default_threads();
    SL_TRY(start_threads(&cpu->threads));
    if (!(cpu->shares = aligned_alloc(ALIGNMENT, (size_t)cpu->threads * sizeof *cpu->shares)))
        SL_FAIL(SL_SYSTEM, "out of memory while opening the CPU device");
    *device = (struct sl_device){
        .name = "cpu",
        .isa = sl_isa(),
        .threads = cpu->threads,
        .host_memory = true,
        .rows = sl_kernel_rows,
        .row_count = sl_kernel_row_count,
        .self = cpu,
        .alloc = cpu_alloc,
        .free = cpu_free,
        .copy = cpu_copy,
        .fill = cpu_fill,
        .fork = cpu_fork,
        .sync = cpu_sync,
        .close = cpu_close,
    };
    cpu = NULL;
out:
    cpu_close(cpu);
    return rc;
}
