// What the safety net costs a step: 4 ranks, threads of this process over a loop, each with the default network's
// 1,077,160 parameters and one core at most. Names: flock/vote. Times are processor
// time, of one rank for one step; `%` is the share of train_step/batch:8, which runs on one core and is measured first.
// The bar for flock/net and flock/beats together is 1 %. `waited_us` is how long rank 0 was at it: sleep between looks
// at the wire, and waiting for a core where ranks are more than cores.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <thread>
#include <vector>

#include "comm/agree.h"
#include "comm/exchange.h"
#include "comm/wire_loop.h"
#include "models/models.h"
#include "runtime/device/parallel.h"
#include "runtime/train/train_step.h"

namespace
{
enum { RANKS = 4, BATCH = 8, CLASSES = 200, SIZE = 64, HASH_EVERY = 100 };

void must(int rc)
{
    if (rc == SL_OK)
        return;
    std::fprintf(stderr, "bench_flock: %s\n", sl_last_error());
    std::exit(rc);
}

double seconds(clockid_t clock)
{
    timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// The default network on one core.
struct Net {
    Net()
    {
        const sl_model_options options = {SIZE, CLASSES};
        must(sl_device_cpu_open(1, &device));
        must(sl_model_build("darknet", &options, &graph));
        must(sl_weights_open(graph, &device, true, &weights));
        must(sl_weights_init(weights, 1));
    }
    ~Net()
    {
        sl_weights_close(weights);
        sl_graph_free(graph);
        device.close(device.self);
    }
    sl_device device = {};
    sl_graph *graph = nullptr;
    sl_weights *weights = nullptr;
};

double step_seconds;

void measure_step(benchmark::State &state)
{
    Net net;
    sl_plan *plan = nullptr;
    sl_updater *updater = nullptr;
    sl_plan_options options = {};
    options.batch = BATCH;
    options.training = true;
    const sl_updater_options defaults = sl_updater_defaults();
    must(sl_plan_open(net.graph, net.weights, &options, &plan));
    must(sl_updater_open(net.weights, &defaults, &updater));
    std::vector<float> images((size_t)BATCH * SIZE * SIZE * 3);
    std::vector<int32_t> labels(BATCH);
    for (size_t i = 0; i < images.size(); i++)
        images[i] = (float)(i * 2654435761u % 1024) / 512.0f - 1.0f;
    sl_train_input input = {};
    input.batch.images = images.data();
    input.batch.labels = labels.data();
    input.batch.count = BATCH;
    input.rate = 1e-3;
    double total = 0;
    for (auto _ : state) {
        sl_train_result result;
        const double begin = seconds(CLOCK_PROCESS_CPUTIME_ID);
        must(sl_train(plan, updater, &input, nullptr, nullptr, &result));
        total += seconds(CLOCK_PROCESS_CPUTIME_ID) - begin;
        input.batch.iteration++;
    }
    step_seconds = total / (double)state.iterations();
    sl_updater_close(updater);
    sl_plan_close(plan);
}

// One rank: its comm, its parameters, its exchange after a step.
struct Rank {
    explicit Rank(sl_wire wire)
    {
        const sl_comm_options limits = {};
        must(sl_comm_open(&wire, &limits, &comm));
        group = sl_comm_group(comm);
        list_tensors();
        open_exchange();
        sl_comm_enter(comm, SL_PHASE_TRAINING, 0);
    }
    ~Rank()
    {
        row->close(exchange);
        sl_comm_close(comm, SL_OK);
    }
    void list_tensors()
    {
        for (int32_t i = 0; i < net.graph->layer_count; i++)
            for (int32_t k = 0; k < net.graph->layers[i].parameter_count; k++) {
                const sl_parameter &p = net.graph->layers[i].parameters[k];
                if (p.role == SL_ROLE_STATE)
                    continue;
                tensors.push_back({p.name, net.weights->offsets[i][k], sl_parameter_floats(&p)});
                agreed.push_back({p.name, sl_weights_at(net.weights, i, k), sl_parameter_floats(&p)});
            }
    }
    void open_exchange()
    {
        sl_exchange_options options = {};
        options.comm = comm;
        options.device = &net.device;
        options.n = net.weights->trained;
        options.tensors = tensors.data();
        options.tensor_count = tensors.size();
        options.threshold = sl_threshold_defaults();
        std::vector<float> update((size_t)options.n);
        for (size_t i = 0; i < update.size(); i++)
            update[i] = 1e-4f * (float)((i + 1) * 2654435761u % 1024) / 512.0f;
        must(row->open(&options, &exchange));
        must(row->update(exchange, sl_span{update.data(), update.size()}, 0));
    }
    void vote() const
    {
        sl_vote vote = {};
        vote.samples = BATCH;
        must(sl_group_vote(group, &vote));
    }
    void compare() const
    {
        must(sl_agree_tensors(group, &net.device, agreed.data(), agreed.size(), nullptr));
    }
    void report() const
    {
        sl_exchange_report report;
        row->report(exchange, &report);
        benchmark::DoNotOptimize(report.residual_norm);
    }
    Net net;
    sl_comm *comm = nullptr;
    const sl_group *group = nullptr;
    const sl_exchange_row *row = sl_exchange_find("threshold");
    void *exchange = nullptr;
    std::vector<sl_exchange_tensor> tensors;
    std::vector<sl_agree_tensor> agreed;
};

struct Cost {
    double waited, processor; // seconds of rank 0; of all ranks together
};

// Every rank does the same; they begin together.
Cost run_ranks(const std::function<void(const Rank &)> &work)
{
    sl_wire wires[RANKS];
    Cost cost = {};
    std::vector<std::thread> threads;
    must(sl_wire_loop_open(RANKS, wires));
    for (int i = 0; i < RANKS; i++)
        threads.emplace_back([&, i] {
            const Rank rank(wires[i]);
            rank.vote();
            const double begin = seconds(CLOCK_MONOTONIC), begin_processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
            work(rank);
            const double waited = seconds(CLOCK_MONOTONIC) - begin;
            rank.vote();
            if (i == 0)
                cost = {waited, seconds(CLOCK_PROCESS_CPUTIME_ID) - begin_processor};
        });
    for (std::thread &thread : threads)
        thread.join();
    return cost;
}

// `steps` is what one call of `work` does. Returns the seconds that rank 0 was at one step.
double measure(benchmark::State &state, double steps, const std::function<void(const Rank &)> &work)
{
    double waited = 0, processor = 0;
    for (auto _ : state) {
        const Cost cost = run_ranks(work);
        state.SetIterationTime(cost.processor / steps / RANKS);
        processor += cost.processor / steps / RANKS;
        waited += cost.waited / steps;
    }
    if (step_seconds > 0)
        state.counters["%"] = 100 * processor / (double)state.iterations() / step_seconds;
    return waited / (double)state.iterations();
}

void measure_calls(benchmark::State &state, double steps, const std::function<void(const Rank &)> &work)
{
    state.counters["waited_us"] = 1e6 * measure(state, steps, work);
}

// The comparison's share of a step.
void measure_hash(benchmark::State &state)
{
    measure_calls(state, 20.0 * HASH_EVERY, [](const Rank &rank) {
        for (int i = 0; i < 20; i++)
            rank.compare();
    });
}

void measure_vote(benchmark::State &state)
{
    measure_calls(state, 1000, [](const Rank &rank) {
        for (int i = 0; i < 1000; i++)
            rank.vote();
    });
}

void measure_report(benchmark::State &state)
{
    measure_calls(state, 100, [](const Rank &rank) {
        for (int i = 0; i < 100; i++)
            rank.report();
    });
}

// Beats come twice a second, so a step's share is as long as the step.
void measure_beats(benchmark::State &state)
{
    const double steps = step_seconds > 0 ? 2.0 / step_seconds : 1;
    measure(state, steps, [](const Rank &) { std::this_thread::sleep_for(std::chrono::seconds(2)); });
}

void measure_net(benchmark::State &state)
{
    measure_calls(state, 2 * HASH_EVERY, [](const Rank &rank) {
        for (int i = 1; i <= 2 * HASH_EVERY; i++) {
            rank.vote();
            rank.report();
            if (i % HASH_EVERY == 0)
                rank.compare();
        }
    });
}

void add(const char *name, void (*measure)(benchmark::State &))
{
    benchmark::RegisterBenchmark(name, measure)->UseManualTime()->Iterations(5)->Unit(benchmark::kMicrosecond);
}
} // namespace

int main(int argc, char **argv)
{
    benchmark::RegisterBenchmark("train_step/batch:8", measure_step)->MinTime(2)->Unit(benchmark::kMicrosecond);
    add("flock/vote", measure_vote);
    add("flock/hash", measure_hash);
    add("flock/report", measure_report);
    add("flock/beats", measure_beats);
    add("flock/net", measure_net);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 64;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
