// Messages of the default network's 1,077,160 parameters at random entries of some density, written and read by one
// thread: small, as they are sent, and plain, without Rice code. Names: message_write/small/1.0e-02. Beside the time,
// ns and bits an entry, and bytes. threshold_next/cap is one selection from a whole sample.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <random>
#include <vector>

#include "comm/algorithm.h"
#include "comm/message.h"
#include "kernels/threshold/threshold.h"

namespace
{
enum { PARAMETERS = 1077160 };

struct Entries {
    explicit Entries(double density) : entries(PARAMETERS), counts((size_t)sl_threshold_chunks(PARAMETERS))
    {
        std::mt19937_64 random(1);
        std::bernoulli_distribution sends(density);
        for (int64_t i = 0; i < PARAMETERS; i++)
            if (sends(random)) {
                const int64_t chunk = i / SL_THRESHOLD_CHUNK;
                const uint32_t sign = random() & 1 ? SL_THRESHOLD_NEGATIVE : 0;
                entries[(size_t)(chunk * SL_THRESHOLD_CHUNK + counts[(size_t)chunk]++)] = (uint32_t)i | sign;
            }
    }
    std::vector<uint32_t> entries;
    std::vector<int64_t> counts;
};

struct Message : Entries {
    Message(double density, bool plain) : Entries(density), bytes(sl_message_most_bytes(PARAMETERS))
    {
        head.n = PARAMETERS;
        head.tau = 1e-3f;
        head.plain = plain;
    }
    void write()
    {
        sl_message_write(&head, entries.data(), counts.data(), bytes.data(), &size);
    }
    sl_message head = {};
    std::vector<uint8_t> bytes;
    size_t size = 0;
};

void tell(benchmark::State &state, const Message &message)
{
    const double entries = (double)message.head.count;
    state.SetLabel(sl_message_form_name(message.head.form));
    state.counters["bytes"] = (double)message.size;
    state.counters["bits/entry"] = 8 * (double)message.size / entries;
    state.counters["ns/entry"] =
        benchmark::Counter(entries * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void measure_write(benchmark::State &state, double density, bool plain)
{
    Message message(density, plain);
    for (auto _ : state) {
        message.write();
        benchmark::DoNotOptimize(message.bytes.data());
    }
    tell(state, message);
}

void measure_read(benchmark::State &state, double density, bool plain)
{
    Message message(density, plain);
    std::vector<uint32_t> entries(PARAMETERS);
    std::vector<int64_t> offsets(message.counts.size() + 1);
    message.write();
    for (auto _ : state) {
        sl_message read = {};
        read.n = PARAMETERS;
        if (sl_message_read(message.bytes.data(), message.size, &read, entries.data(), offsets.data()) != SL_OK)
            state.SkipWithError(sl_last_error());
        benchmark::DoNotOptimize(entries.data());
    }
    tell(state, message);
}

void measure_cap(benchmark::State &state)
{
    std::vector<float> sample(SL_THRESHOLD_SAMPLES);
    std::mt19937_64 random(1);
    std::exponential_distribution<float> magnitude(1e4f);
    for (float &x : sample)
        x = magnitude(random);
    const sl_threshold_options options = sl_threshold_defaults();
    const sl_threshold_state none = {};
    for (auto _ : state)
        benchmark::DoNotOptimize(sl_threshold_next(&options, &none, sample.data(), sample.size()));
}

void add(const char *verb, void (*measure)(benchmark::State &, double, bool))
{
    for (const bool plain : {false, true})
        for (const double density : {1e-4, 1e-3, 3.5e-3, 1e-2, 1e-1, 1.0}) {
            char name[64];
            std::snprintf(name, sizeof name, "message_%s/%s/%.1e", verb, plain ? "plain" : "small", density);
            benchmark::RegisterBenchmark(name, [=](benchmark::State &state) { measure(state, density, plain); })
                ->MinTime(0.1)
                ->Unit(benchmark::kMicrosecond);
        }
}
} // namespace

int main(int argc, char **argv)
{
    add("write", measure_write);
    add("read", measure_read);
    benchmark::RegisterBenchmark("threshold_next/cap", measure_cap)->MinTime(0.1)->Unit(benchmark::kMicrosecond);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 64;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
