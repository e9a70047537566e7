// Every operation at the shapes of the default network (batch 32), one thread, every row this machine runs. What is
// measured, and how it is set up, stands beside the checker's cases (tests/check.h); names are those of the tests:
// operation/row/shape. Beside each kernel, in turns with it, runs a plain pass that reads and writes as many bytes:
// GB/s counts the bytes that have to move, `roof` is the pass, `%roof` compares the best times. More than 100 means
// that several streams at once run faster than the pass's one or two; of operations bound by arithmetic it says little.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "tests/check.h"

namespace
{

// Released with the benchmark.
struct Case : check_case {
    ~Case()
    {
        check_release(this);
    }
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

template <class Work> double seconds(const Work &work)
{
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Whole cache lines, or a few odd bytes would leave half of the pass's stores across two lines.
size_t words_of(size_t bytes)
{
    return (bytes + 63) / 64 * 8;
}

uint64_t *take_words(check_case &c, const char *name, size_t words)
{
    return reinterpret_cast<uint64_t *>(check_work_double(&c, name, words));
}

void measure_row(benchmark::State &state, check_case &c)
{
    const check_traffic traffic = check_traffic_of(&c);
    const size_t reads = words_of(traffic.reads), writes = words_of(traffic.writes);
    uint64_t *from = take_words(c, "from", reads);
    uint64_t *to = traffic.in_place ? from : take_words(c, "to", writes);
    double best = 1e9, roof = 1e9;
    for (auto _ : state) {
        const double time = seconds([&] { check_run(&c); });
        state.SetIterationTime(time);
        best = std::min(best, time);
        roof = std::min(roof, seconds([&] { benchmark::DoNotOptimize(pass(from, to, reads, writes)); }));
    }
    const double bytes = double(traffic.reads + traffic.writes);
    state.counters["GB/s"] = bytes / best * 1e-9;
    state.counters["roof"] = bytes / roof * 1e-9;
    state.counters["%roof"] = 100.0 * roof / best;
}

void measure(benchmark::State &state, const check_op &op, size_t index, const sl_kernel_row &row)
{
    Case c{};
    c.measured = true;
    if (check_set_up_at(&c, &op, index, &row))
        measure_row(state, c);
    else
        state.SkipWithError("the row cannot be made ready");
}

// Registers every row of `op` that runs here and takes the shape.
void add(const check_op &op, size_t index)
{
    char name[128];
    const void *shape = op.shape(index, name, sizeof name);
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const sl_kernel_row &row = sl_kernel_rows[i];
        sl_need need;
        if (!sl_row_takes(&row, op.op, shape, sl_isa(), &need))
            continue;
        const std::string full = std::string(sl_op_name(op.op)) + "/" + row.name + "/" + name;
        benchmark::RegisterBenchmark(full.c_str(),
                                     [&op, index, &row](benchmark::State &state) { measure(state, op, index, row); })
            ->UseManualTime()
            ->MinTime(0.2)
            ->Unit(benchmark::kMicrosecond);
    }
}

} // namespace

int main(int argc, char **argv)
{
    for (int i = 0; i < SL_OP_COUNT; i++) {
        const check_op *op = check_find_op(static_cast<sl_op>(i));
        for (size_t index = 0; op && index < op->measured; index++)
            add(*op, op->shapes + index);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 64;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
