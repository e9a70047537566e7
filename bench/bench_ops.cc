// Every operation at the shapes of the default network (batch 32), one thread, every row this machine runs. What is
// measured, and how it is set up, stands beside the checker's cases (tests/check.h); names are those of the tests:
// operation/row/shape. Beside each kernel, in turns with it, runs a plain pass that reads and writes as many bytes:
// GB/s counts the bytes that have to move, `roof` is the pass, `%roof` compares the best times. More than 100 means
// that several streams at once run faster than the pass's one or two; of operations bound by arithmetic it says little.
// An operation that is another one and more is measured in turns with that one instead, each run after one that warms
// the caches: `plain_us` is the median time of the other, `x` the median ratio, `x25` and `x75` its quartiles.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

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

// The operation of which `op` is more.
const check_op *plain_of(sl_op op)
{
    return op == SL_OP_threshold_encode ? check_find_op(SL_OP_accumulate) : nullptr;
}

// Its row of the same instruction set, on a shape that begins alike: with the length.
bool set_up_plain(check_case &c, const check_op &plain, const check_case &beside)
{
    c.measured = true;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const sl_kernel_row &row = sl_kernel_rows[i];
        if (row.op == plain.op && row.needs == beside.row->needs && row.kernel->element == beside.kernel->element)
            return check_set_up(&c, &plain, beside.shape, &row);
    }
    return false;
}

double warm_seconds(check_case &c)
{
    check_run(&c);
    return seconds([&] { check_run(&c); });
}

double quantile(std::vector<double> values, double share)
{
    const auto at = values.begin() + std::ptrdiff_t(share * double(values.size() - 1));
    std::nth_element(values.begin(), at, values.end());
    return *at;
}

void measure_beside(benchmark::State &state, check_case &c, const check_op &plain)
{
    Case other{};
    if (!set_up_plain(other, plain, c)) {
        state.SkipWithError("nothing to measure beside");
        return;
    }
    std::vector<double> ratios, times;
    for (auto _ : state) {
        const double time = warm_seconds(c);
        state.SetIterationTime(time);
        times.push_back(warm_seconds(other));
        ratios.push_back(time / times.back());
    }
    state.counters["plain_us"] = quantile(times, 0.5) * 1e6;
    state.counters["x"] = quantile(ratios, 0.5);
    state.counters["x25"] = quantile(ratios, 0.25);
    state.counters["x75"] = quantile(ratios, 0.75);
}

void measure(benchmark::State &state, const check_op &op, size_t index, const sl_kernel_row &row)
{
    Case c{};
    c.measured = true;
    const check_op *plain = plain_of(op.op);
    if (!check_set_up_at(&c, &op, index, &row))
        state.SkipWithError("the row cannot be made ready");
    else if (plain)
        measure_beside(state, c, *plain);
    else
        measure_row(state, c);
}

// Registers every row of `op` that runs here and takes the shape.
void add(const check_op &op, size_t index)
{
    char name[128];
    op.shape(index, name, sizeof name);
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const sl_kernel_row &row = sl_kernel_rows[i];
        if (row.op != op.op || (row.needs & ~sl_isa()) || !check_takes(&op, index, &row))
            continue;
        const std::string full = std::string(sl_op_name(op.op)) + "/" + row.name + "/" + name;
        benchmark::RegisterBenchmark(full.c_str(),
                                     [&op, index, &row](benchmark::State &state) { measure(state, op, index, row); })
            ->UseManualTime()
            ->MinTime(plain_of(op.op) ? 0.5 : 0.2) // the median of many ratios
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
