/* Fibers, the order in which they run, and where they wait (emulated.cuh). x86-64. */
#include "kernels/cuda/emulated.cuh"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define LEAVING(keep, bottom, bytes) __sanitizer_start_switch_fiber(keep, bottom, bytes)
#define ARRIVED(kept, bottom, bytes) __sanitizer_finish_switch_fiber(kept, bottom, bytes)
#else
#define LEAVING(keep, bottom, bytes) (void)0
#define ARRIVED(kept, bottom, bytes) (void)0
#endif

namespace emulated
{
constexpr unsigned MOST_THREADS = 1024, MOST_WARPS = MOST_THREADS / 32;
constexpr unsigned MOST_ACROSS = 0x7fffffff, MOST_DOWN = 65535;          /* blocks of a grid: x; y and z */
constexpr size_t MOST_SHARED = 163 << 10, MOST_SHARED_WGMMA = 227 << 10; /* of a block of sm_80, of sm_90 */
constexpr size_t STACK_BYTES = 256 << 10, SHARED_ALIGNMENT = 1024;

block running;

namespace
{
/* Those who wait for each other, and where. */
struct meeting {
    const char *file;
    int line;
    unsigned arrived; /* how many of a block; which lanes of a warp */
    unsigned mask;
    void *brought[32];
};

/* All that belongs to the block that runs. */
struct {
    thread threads[MOST_THREADS];
    unsigned count, alive;
    unsigned order[MOST_THREADS], place[MOST_THREADS]; /* who stands at each place, and its inverse */
    uint64_t ready[MOST_THREADS / 64];                 /* a bit for each place */
    unsigned at;                                       /* the place of the one that runs */
    unsigned chosen;                                   /* order */
    meeting whole, warps[MOST_WARPS];
    void (*body)(void *self);
    void *self;
    struct {
        void *stack_pointer, *sanitizer;
        const void *stack;
        size_t stack_bytes;
    } launcher;
} state;

const struct {
    const char *name;
    bool descending, shuffled, in_turns;
} orders[SL_EMULATED_ORDERS] = {
    {"ascending", false, false, false}, {"ascending, in turns", false, false, true},
    {"descending", true, false, false}, {"descending, in turns", true, false, true},
    {"shuffled", false, true, false},   {"shuffled, in turns", false, true, true},
};

/* ---- who is next ---- */

void set_ready(const thread *t, bool ready)
{
    const unsigned place = state.place[t - state.threads];
    const uint64_t bit = uint64_t(1) << place % 64;
    state.ready[place / 64] = ready ? state.ready[place / 64] | bit : state.ready[place / 64] & ~bit;
}

void wake(thread *t)
{
    t->state = thread::READY;
    set_ready(t, true);
}

void wake_block()
{
    state.whole.arrived = 0;
    for (unsigned i = 0; i < state.count; i++)
        if (state.threads[i].state == thread::WAITS)
            wake(&state.threads[i]);
}

/* The first that is ready, from the front (so that one runs as far ahead as it can) or from the present one on. */
int next_place()
{
    const unsigned words = (state.count + 63) / 64,
                   from = orders[state.chosen].in_turns ? (state.at + 1) % state.count : 0;
    unsigned word = from / 64;
    uint64_t bits = state.ready[word] & ~uint64_t(0) << from % 64;
    for (unsigned i = 0; i <= words; i++) {
        if (bits)
            return int(word * 64 + unsigned(__builtin_ctzll(bits)));
        word = (word + 1) % words;
        bits = state.ready[word];
    }
    return -1;
}

/* ---- switching ---- */

extern "C" void sl_emulated_switch(void **save, void *load);
__asm__(".text\n"
        ".globl sl_emulated_switch\n"
        ".type sl_emulated_switch,@function\n"
        "sl_emulated_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\n"
        "ret\n"
        ".size sl_emulated_switch,.-sl_emulated_switch\n");

/* From the running thread back to launch, which goes on when all have ended. */
void return_to_launch(thread *from)
{
    LEAVING(nullptr, state.launcher.stack, state.launcher.stack_bytes);
    sl_emulated_switch(&from->stack_pointer, state.launcher.stack_pointer);
}

/* Another thread runs; this one goes on when its turn comes again. */
void yield()
{
    thread *me = running.now;
    const int place = next_place();
    if (place < 0 && state.alive)
        give_up("deadlock: %u threads wait, at least one of them at %s:%d, for one that has ended or waits elsewhere",
                state.alive, state.whole.file ? state.whole.file : "a warp's meeting", state.whole.line);
    if (place < 0) {
        return_to_launch(me);
        return;
    }
    thread *next = &state.threads[state.order[place]];
    state.at = unsigned(place);
    if (next == me)
        return;
    running.now = next;
    LEAVING(me->state == thread::DONE ? nullptr : &me->sanitizer, next->stack, STACK_BYTES);
    sl_emulated_switch(&me->stack_pointer, next->stack_pointer);
    ARRIVED(running.now->sanitizer, nullptr, nullptr);
}

void end_thread()
{
    thread *me = running.now;
    if (me->copies)
        give_up("ends with %u asynchronous copies that nobody waited for", me->copies);
    if (me->products)
        give_up("ends with %u products that nobody waited for", me->products);
    set_ready(me, false);
    me->state = thread::DONE;
    state.alive--;
    if (state.alive && state.whole.arrived == state.alive) /* nobody waits for those who have ended */
        wake_block();
    yield();
    abort();
}

void begin_thread()
{
    const void *bottom = nullptr;
    size_t bytes = 0;
    ARRIVED(nullptr, &bottom, &bytes);
    if (!state.launcher.stack) { /* the first thread of all comes from launch */
        state.launcher.stack = bottom;
        state.launcher.stack_bytes = bytes;
    }
    (void)bytes;
    state.body(state.self);
    end_thread();
}

/* ---- a block ---- */

void shuffle_list(unsigned *list, unsigned n, uint64_t *random)
{
    for (unsigned i = n; i > 1; i--) {
        *random = *random * 6364136223846793005u + 1442695040888963407u;
        const unsigned j = unsigned(*random >> 33) % i, other = list[i - 1];
        list[i - 1] = list[j];
        list[j] = other;
    }
}

/* Places for warps, and within each for its lanes. */
void line_up()
{
    const bool descending = orders[state.chosen].descending, shuffled = orders[state.chosen].shuffled;
    const unsigned warps = (state.count + 31) / 32;
    unsigned warp[MOST_WARPS], lane[32], at = 0;
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < warps; i++)
        warp[i] = descending ? warps - 1 - i : i;
    for (unsigned i = 0; i < 32; i++)
        lane[i] = descending ? 31 - i : i;
    if (shuffled)
        shuffle_list(warp, warps, &random);
    for (unsigned w = 0; w < warps; w++) {
        if (shuffled)
            shuffle_list(lane, 32, &random);
        for (unsigned i = 0; i < 32; i++) {
            const unsigned who = warp[w] * 32 + lane[i];
            if (who >= state.count)
                continue;
            state.order[at] = who;
            state.place[who] = at++;
        }
    }
}

/* A stack that looks as if begin_thread had been called and had saved six registers. Tops lie at different places of
 * their pages, or all threads would compete for the same few sets of the first-level cache. */
void *fresh_stack(const thread *t)
{
    const size_t aside = size_t(t - state.threads) * 5 % 64 * 64;
    void **top = reinterpret_cast<void **>(static_cast<char *>(t->stack) + STACK_BYTES - aside) - 3;
    *--top = reinterpret_cast<void *>(begin_thread);
    return top - 6;
}

void begin_block()
{
    memset(running.shared, 0xff, running.shared_bytes); /* NaN */
    state.alive = state.count;
    state.whole = {};
    memset(state.warps, 0, sizeof state.warps);
    state.at = 0;
    for (unsigned i = 0; i < state.count; i++) {
        thread *t = &state.threads[i];
        const unsigned x = running.size.x, y = running.size.y;
        t->index = dim3(i % x, i / x % y, i / x / y);
        t->lane = i % 32;
        t->warp = i / 32;
        t->copies = t->copy_group = t->products = t->product_group = 0;
        t->sanitizer = nullptr;
        t->stack_pointer = fresh_stack(t);
        wake(t);
    }
}

void run_block()
{
    begin_block();
    thread *first = &state.threads[state.order[0]];
    running.now = first;
    LEAVING(&state.launcher.sanitizer, first->stack, STACK_BYTES);
    sl_emulated_switch(&state.launcher.stack_pointer, first->stack_pointer);
    ARRIVED(state.launcher.sanitizer, nullptr, nullptr);
    running.now = nullptr;
}

/* Stacks stay for the next launch; a page between two of them may not be touched. */
void reserve_stacks()
{
    constexpr size_t GAP = 4096;
    static char *stacks;
    if (stacks)
        return;
    void *memory = mmap(nullptr, size_t(MOST_THREADS) * (STACK_BYTES + GAP), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        give_up("no memory for the stacks of %u threads", MOST_THREADS);
    stacks = static_cast<char *>(memory);
    for (unsigned i = 0; i < MOST_THREADS; i++) {
        char *gap = stacks + size_t(i) * (STACK_BYTES + GAP);
        if (mprotect(gap, GAP, PROT_NONE))
            give_up("cannot protect the stacks");
        state.threads[i].stack = gap + GAP;
    }
}

void run(dim3 grid, dim3 size, size_t shared_bytes, void (*body)(void *self), void *self)
{
    const size_t count = size_t(size.x) * size.y * size.z;
    running.now = nullptr;
    if (count < 1 || count > MOST_THREADS || !grid.x || !grid.y || !grid.z || grid.x > MOST_ACROSS ||
        grid.y > MOST_DOWN || grid.z > MOST_DOWN)
        give_up("a launch of %u x %u x %u blocks of %zu threads", grid.x, grid.y, grid.z, count);
    if (shared_bytes > MOST_SHARED_WGMMA)
        give_up("a launch with %zu bytes of shared memory", shared_bytes);
    reserve_stacks();
    running.grid = grid;
    running.size = size;
    running.shared_bytes = shared_bytes;
    const size_t rounded = (shared_bytes + SHARED_ALIGNMENT - 1) / SHARED_ALIGNMENT * SHARED_ALIGNMENT;
    void *shared = nullptr;
    if (posix_memalign(&shared, SHARED_ALIGNMENT, rounded ? rounded : SHARED_ALIGNMENT))
        give_up("no memory for %zu bytes of shared memory", shared_bytes);
    running.shared = static_cast<unsigned char *>(shared);
    state.count = unsigned(count);
    state.body = body;
    state.self = self;
    memset(state.ready, 0, sizeof state.ready);
    running.multiplied = false;
    line_up();
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                running.index = dim3(x, y, z);
                run_block();
            }
    if (shared_bytes > MOST_SHARED && !running.multiplied)
        give_up("a launch with %zu bytes of shared memory, without the products of devices that have them",
                shared_bytes);
    free(shared);
}

struct {
    void (*note)(void *to, const struct sl_emulated_launch *launch);
    void *to;
} noting;
} // namespace

void give_up(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const dim3 b = running.index, t = running.now ? running.now->index : dim3(0, 0, 0);
    fprintf(stderr, "emulated block (%u, %u, %u), thread (%u, %u, %u), threads %s: %s\n", b.x, b.y, b.z, t.x, t.y, t.z,
            orders[state.chosen].name, text);
    fflush(stderr);
    _Exit(3);
}

void launch(const struct sl_emulated_launch &launch)
{
    if (noting.note)
        noting.note(noting.to, &launch);
    else
        sl_emulated_run(&launch);
}

/* ---- meetings ---- */

static void wait_here(thread *me)
{
    me->state = thread::WAITS;
    set_ready(me, false);
}

void barrier(const char *file, int line)
{
    thread *me = running.now;
    meeting *m = &state.whole;
    if (m->arrived && (m->line != line || strcmp(m->file, file)))
        give_up("barriers diverge: some threads are at %s:%d, this one at %s:%d", m->file, m->line, file, line);
    m->file = file;
    m->line = line;
    wait_here(me);
    if (++m->arrived == state.alive)
        wake_block();
    yield();
}

static void end_meeting(meeting *m, unsigned warp, void (*whole)(void *const lanes[32]))
{
    whole(m->brought);
    for (unsigned i = 0; i < 32; i++) {
        m->brought[i] = nullptr;
        if (m->mask >> i & 1)
            wake(&state.threads[warp * 32 + i]);
    }
    m->arrived = 0;
}

void meet(unsigned mask, void *mine, void (*whole)(void *const lanes[32]), const char *file, int line)
{
    thread *me = running.now;
    meeting *m = &state.warps[me->warp];
    const unsigned lanes = state.count - me->warp * 32;
    mask &= lanes < 32 ? (1u << lanes) - 1 : ~0u;
    if (m->arrived && (m->line != line || m->mask != mask || strcmp(m->file, file)))
        give_up("lanes of a warp diverge: some are at %s:%d (mask %08x), this one at %s:%d (mask %08x)", m->file,
                m->line, m->mask, file, line, mask);
    if (!(mask >> me->lane & 1))
        give_up("%s:%d: lane %u is not in its own mask %08x", file, line, me->lane, mask);
    m->file = file;
    m->line = line;
    m->mask = mask;
    m->arrived |= 1u << me->lane;
    m->brought[me->lane] = mine;
    wait_here(me);
    if (m->arrived == mask)
        end_meeting(m, me->warp, whole);
    yield();
}
} // namespace emulated

void sl_emulated_note(void (*note)(void *to, const struct sl_emulated_launch *launch), void *to)
{
    emulated::noting = {note, to};
}

void sl_emulated_run(const struct sl_emulated_launch *launch)
{
    const unsigned *grid = launch->grid, *block = launch->block;
    emulated::run(dim3(grid[0], grid[1], grid[2]), dim3(block[0], block[1], block[2]), launch->shared_bytes,
                  launch->body, launch->self);
}

void sl_emulated_set_order(unsigned order)
{
    emulated::state.chosen = order % SL_EMULATED_ORDERS;
}

const char *sl_emulated_order_name(unsigned order)
{
    return emulated::orders[order % SL_EMULATED_ORDERS].name;
}
