// The memory-bound operations at the shapes of the default network (batch 32), one thread, every row this machine runs.
// Names are those of the tests: operation/row/shape. Beside each kernel, in turns with it, runs a plain pass that reads
// and writes as many bytes: GB/s counts the bytes that have to move, `roof` is the pass, `%roof` compares the best
// times. More than 100 means that several streams at once run faster than the pass's one or two.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"

namespace
{

// Buffers of one benchmark, released with it.
class Memory
{
  public:
    float *floats(size_t n)
    {
        // Each begins elsewhere in its page, as in the arena: loads and stores 4096 bytes apart get in each other's
        // way.
        const size_t offset = blocks_.size() % 8 * 144 + 16, total = (n + offset + 1023) / 1024 * 1024;
        auto *at = static_cast<float *>(std::aligned_alloc(4096, total * sizeof(float)));
        if (!at)
            std::abort();
        for (size_t i = 0; i < total; i++)
            at[i] = float(int((i * 2654435761u) >> 8 & 0xffff) - 32768) / 32768.0f;
        blocks_.emplace_back(at, std::free);
        return at + offset;
    }

    void *bytes(size_t n)
    {
        return std::memset(floats((n + 3) / 4), 1, n);
    }

  private:
    std::vector<std::unique_ptr<float, decltype(&std::free)>> blocks_;
};

// A kernel ready to run, and the bytes it has to read and to write.
struct Job {
    std::function<void(const sl_work *)> run;
    size_t reads, writes;
    bool in_place; // what is written was read: no cache line is fetched only to be overwritten
};

// What a plain loop takes for the same bytes: copies what is both read and written, reads or fills the rest. It adds
// one lest it become memcpy, whose stores may bypass the caches.
__attribute__((target_clones("avx2", "default"))) uint64_t pass(const uint64_t *from, uint64_t *to, size_t reads,
                                                                size_t writes)
{
    uint64_t sum = 0;
    const size_t both = std::min(reads, writes);
    for (size_t i = 0; i < both; i++)
        to[i] = from[i] + 1;
    for (size_t i = both; i < reads; i++)
        sum ^= from[i];
    for (size_t i = both; i < writes; i++)
        to[i] = 1;
    return sum;
}

double seconds(const std::function<void()> &work)
{
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void measure(benchmark::State &state, const sl_kernel_row &row, const void *shape,
             const std::function<Job(Memory &, const sl_kernel &)> &prepare)
{
    Memory memory;
    const Job job = prepare(memory, *row.kernel);
    auto *from = reinterpret_cast<uint64_t *>(memory.floats(job.reads / 4 + 2));
    auto *to = job.in_place ? from : reinterpret_cast<uint64_t *>(memory.floats(job.writes / 4 + 2));
    sl_need need = {};
    row.kernel->need(shape, &need);
    const sl_work all = {0, need.units, memory.floats(need.scratch / 4 + 16), nullptr, nullptr};
    double best = 1e9, roof = 1e9;
    for (auto _ : state) {
        const double time = seconds([&] { job.run(&all); });
        state.SetIterationTime(time);
        best = std::min(best, time);
        roof =
            std::min(roof, seconds([&] { benchmark::DoNotOptimize(pass(from, to, job.reads / 8, job.writes / 8)); }));
    }
    const double bytes = double(job.reads + job.writes);
    state.counters["GB/s"] = bytes / best * 1e-9;
    state.counters["roof"] = bytes / roof * 1e-9;
    state.counters["%roof"] = 100.0 * roof / best;
}

int64_t units_of(const sl_kernel &kernel, const void *shape)
{
    sl_need need = {};
    kernel.need(shape, &need);
    return need.units;
}

// A step that counts: rate 8e-3.
const sl_now now = {0, 1, 8e-3f, 0, 0.0, 0.0, 0.0};

// Registers every row of `op` that runs here and takes the shape.
void add(sl_op op, const std::string &name, std::shared_ptr<const void> shape,
         const std::function<Job(Memory &, const sl_kernel &)> &prepare)
{
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const sl_kernel_row &row = sl_kernel_rows[i];
        sl_need need;
        if (!sl_row_takes(&row, op, shape.get(), sl_isa(), &need))
            continue;
        const std::string full = std::string(sl_op_name(op)) + "/" + row.name + "/" + name;
        benchmark::RegisterBenchmark(
            full.c_str(),
            [&row, shape, prepare](benchmark::State &state) { measure(state, row, shape.get(), prepare); })
            ->UseManualTime()
            ->MinTime(0.2)
            ->Unit(benchmark::kMicrosecond);
    }
}

template <class Shape, class Args>
Job job(const sl_kernel &kernel, const std::shared_ptr<Shape> &shape, const Args &args, size_t reads, size_t writes,
        bool in_place = false)
{
    return {[&kernel, shape, args](const sl_work *work) { kernel.run(shape.get(), &args, work); }, 4 * reads,
            4 * writes, in_place};
}

void add_norm(const sl_norm &s)
{
    const auto shape = std::make_shared<sl_norm>(s);
    const size_t x = size_t(s.n) * s.h * s.w * s.xs, y = x / (s.pool * s.pool), xs = s.xs;
    const std::string name = "n" + std::to_string(s.n) + "h" + std::to_string(s.h) + "w" + std::to_string(s.w) + "c" +
                             std::to_string(s.c) + "p" + std::to_string(s.pool);
    add(SL_OP_norm_moments, name, shape, [=](Memory &m, const sl_kernel &k) {
        const size_t records = size_t(units_of(k, shape.get())) * sl_moments_size(s.xs);
        return job(k, shape, sl_norm_moments{m.floats(x), m.floats(records)}, x, 0);
    });
    add(SL_OP_norm_fwd, name, shape, [=](Memory &m, const sl_kernel &k) {
        return job(k, shape, sl_norm_fwd{m.floats(x), m.floats(xs), m.floats(xs), m.floats(y)}, x, y);
    });
    add(SL_OP_norm_bwd_reduce, name, shape, [=](Memory &m, const sl_kernel &k) {
        float *sums = m.floats(size_t(units_of(k, shape.get())) * 2 * xs);
        return job(
            k, shape,
            sl_norm_bwd_reduce{m.floats(x), m.floats(xs), m.floats(xs), m.floats(xs), m.floats(xs), m.floats(y), sums},
            x + y, 0);
    });
    add(SL_OP_norm_bwd_apply, name, shape, [=](Memory &m, const sl_kernel &k) {
        return job(k, shape,
                   sl_norm_bwd_apply{m.floats(x), m.floats(xs), m.floats(xs), m.floats(y), m.floats(xs), m.floats(xs),
                                     m.floats(x)},
                   x + y, x);
    });
}

void add_pool(const sl_pool &s, const std::string &name, bool maximum)
{
    const auto shape = std::make_shared<sl_pool>(s);
    const size_t x = size_t(s.n) * s.h * s.w * s.xs, y = size_t(s.n) * s.oh * s.ow * s.xs;
    add(maximum ? SL_OP_pool_max_fwd : SL_OP_pool_avg_fwd, name, shape, [=](Memory &m, const sl_kernel &k) {
        return job(k, shape, sl_pool_fwd{m.floats(x), m.floats(y)}, x, y);
    });
    add(maximum ? SL_OP_pool_max_bwd : SL_OP_pool_avg_bwd, name, shape, [=](Memory &m, const sl_kernel &k) {
        return job(k, shape, sl_pool_bwd{m.floats(x), m.floats(y), m.floats(x)}, maximum ? x + y : y, x);
    });
}

void add_flat(size_t n)
{
    const std::string name = "n" + std::to_string(n);
    const auto flat = std::make_shared<sl_flat>(sl_flat{int64_t(n), SL_ELEMENT_F32});
    const auto leaky = std::make_shared<sl_leaky_relu>(sl_leaky_relu{int64_t(n), 0.1f, SL_ELEMENT_F32});
    const auto drop = std::make_shared<sl_dropout_shape>(sl_dropout_shape{int64_t(n), 0.5f, SL_ELEMENT_F32});
    add(SL_OP_leaky_relu_fwd, name, leaky, [=](Memory &m, const sl_kernel &k) {
        return job(k, leaky, sl_leaky_relu_fwd{m.floats(n), m.floats(n)}, n, n);
    });
    add(SL_OP_leaky_relu_bwd, name, leaky, [=](Memory &m, const sl_kernel &k) {
        return job(k, leaky, sl_leaky_relu_bwd{m.floats(n), m.floats(n), m.floats(n)}, 2 * n, n);
    });
    add(SL_OP_add_fwd, name, flat, [=](Memory &m, const sl_kernel &k) {
        return job(k, flat, sl_add_fwd{m.floats(n), m.floats(n), m.floats(n)}, 2 * n, n);
    });
    add(SL_OP_accumulate, name, flat, [=](Memory &m, const sl_kernel &k) {
        return job(k, flat, sl_accumulate{m.floats(n), m.floats(n)}, 2 * n, n, true);
    });
    add(SL_OP_dropout, name, drop, [=](Memory &m, const sl_kernel &k) {
        return job(k, drop, sl_dropout{m.floats(n), m.floats(n), &now, 2}, n, n);
    });
}

void add_optimizer(size_t n)
{
    const auto shape = std::make_shared<sl_optimizer>(sl_optimizer{int64_t(n), SL_ELEMENT_F32});
    const struct {
        sl_op op;
        size_t reads, writes;
    } steps[] = {{SL_OP_sgd_step, 3, 2}, {SL_OP_adam_step, 4, 3}, {SL_OP_amsgrad_step, 5, 4}};
    for (const auto &step : steps)
        add(step.op, "n" + std::to_string(n), shape, [=](Memory &m, const sl_kernel &k) {
            const sl_optimizer_step args = {
                m.floats(n), m.floats(n), m.floats(n), static_cast<float *>(std::memset(m.floats(n), 0, 4 * n)),
                m.floats(n), nullptr,     &now,        0.9f,
                0.9f,        0.999f,      1e-8f,       1e-4f};
            return job(k, shape, args, step.reads * n, step.writes * n, true);
        });
}

void add_softmax(const sl_softmax &s)
{
    const auto shape = std::make_shared<sl_softmax>(s);
    const size_t x = size_t(s.n) * s.xs;
    const std::string name = "n" + std::to_string(s.n) + "c" + std::to_string(s.c);
    add(SL_OP_softmax_nll_fwd, name, shape, [=](Memory &m, const sl_kernel &k) {
        auto *labels = static_cast<int32_t *>(std::memset(m.floats(s.n), 0, 4 * size_t(s.n)));
        auto *loss = reinterpret_cast<double *>(m.floats(2 * size_t(s.n)));
        return job(k, shape, sl_softmax_nll_fwd{m.floats(x), labels, m.floats(x), loss}, x, x);
    });
    add(SL_OP_softmax_nll_bwd, name, shape, [=](Memory &m, const sl_kernel &k) {
        auto *labels = static_cast<int32_t *>(std::memset(m.floats(s.n), 0, 4 * size_t(s.n)));
        return job(k, shape, sl_softmax_nll_bwd{m.floats(x), labels, 0.03f, m.floats(x)}, x, x);
    });
}

void add_image(bool flip)
{
    const auto shape = std::make_shared<sl_image>(sl_image{64, 64, 64, 64, 1, SL_ELEMENT_F32});
    const size_t n = 3 * 64 * 64;
    add(SL_OP_image_to_float, std::string("64x64") + (flip ? "flip" : ""), shape, [=](Memory &m, const sl_kernel &k) {
        static const sl_image_place plain = {0, 0, 0, 0}, mirrored = {0, 0, 0, 1};
        const sl_image_to_float args = {static_cast<uint8_t *>(m.bytes(n)),
                                        flip ? &mirrored : &plain,
                                        {1.0f, 1.0f, 1.0f},
                                        {0.0f, 0.0f, 0.0f},
                                        m.floats(n)};
        return job(k, shape, args, n / 4, n);
    });
}

void add_channels(const sl_channels &s)
{
    const auto shape = std::make_shared<sl_channels>(s);
    const size_t c = size_t(s.pixels) * s.c;
    add(SL_OP_channel_copy, "m" + std::to_string(s.pixels) + "c" + std::to_string(s.c), shape,
        [=](Memory &m, const sl_kernel &k) {
            const sl_channel_copy args = {m.floats(size_t(s.pixels) * s.from_stride),
                                          m.floats(size_t(s.pixels) * s.to_stride)};
            return job(k, shape, args, c, c);
        });
}

} // namespace

int main(int argc, char **argv)
{
    const sl_norm norms[] = {
        {32, 64, 64, 32, 32, 1, 0.1f, SL_ELEMENT_F32},   {32, 64, 64, 64, 64, 2, 0.1f, SL_ELEMENT_F32},
        {32, 32, 32, 128, 128, 1, 0.1f, SL_ELEMENT_F32}, {32, 32, 32, 256, 256, 2, 0.1f, SL_ELEMENT_F32},
        {32, 16, 16, 256, 256, 1, 0.1f, SL_ELEMENT_F32}, {32, 16, 16, 512, 512, 2, 0.1f, SL_ELEMENT_F32}};
    for (const sl_norm &norm : norms)
        add_norm(norm);
    add_pool({32, 64, 64, 64, 64, 2, 2, 2, 2, 0, 0, 32, 32, SL_ELEMENT_F32}, "n32h64w64c64k2s2", true);
    add_pool({32, 8, 8, 200, 208, 8, 8, 1, 1, 0, 0, 1, 1, SL_ELEMENT_F32}, "n32h8w8c200global", false);
    add_flat(size_t(32) * 64 * 64 * 32);
    add_channels({32 * 32 * 32, 64, 64, 0, 192, 64, false, SL_ELEMENT_F32});
    add_optimizer(1077160);
    add_softmax({32, 200, 208, SL_ELEMENT_F32});
    add_image(false);
    add_image(true);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 64;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
