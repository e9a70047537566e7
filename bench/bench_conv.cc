// Every convolution row beside oneDNN, on the layers of a network.
//
//   bench_conv [--shapes FILE] [--batch N] [--threads N] [--rounds N] [--layer NAME] [--row TEXT] [--table-only]
//              [--benchmark_...]
//
// First Google Benchmark's list, then a table: ours and oneDNN run in turn, `rounds` times, and the best run of each
// counts. --row keeps the rows whose name holds the text. Weights are packed beforehand, as in a training step.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "bench/fma_peak.h"
#include "bench/onednn_conv.h"
#include "kernels/conv/conv.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"
#include "tests/check.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace
{
struct Options {
    std::string shapes = SL_BENCH_SHAPES "/darknet.txt", layer, row;
    int batch = 32, threads = 1, rounds = 7;
    bool table_only = false;
};

struct Layer {
    std::string name, passes;
    sl_conv2d shape = {};
};

constexpr sl_op kOps[] = {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data, SL_OP_conv2d_bwd_weights};
constexpr char kLetters[] = "fdw";

std::vector<Layer> read_layers(const Options &options)
{
    std::vector<Layer> layers;
    std::ifstream file(options.shapes);
    for (std::string line; std::getline(file, line);) {
        Layer l;
        sl_conv2d &s = l.shape;
        std::istringstream in(line);
        if (line.empty() || line[0] == '#' ||
            !(in >> l.name >> s.h >> s.w >> s.c >> s.k >> s.kh >> s.kw >> s.stride_h >> s.pad_top >> s.pad_left >>
              s.oh >> s.ow >> l.passes) ||
            (!options.layer.empty() && l.name != options.layer))
            continue;
        s.n = options.batch;
        s.stride_w = s.stride_h;
        s.xs = s.c == 3 ? 3 : sl_round_up(s.c, SL_LANES);
        s.ys = sl_round_up(s.k, SL_LANES);
        layers.push_back(l);
    }
    return layers;
}

// One of our rows with its operands, packed and ready: set up as for the checker.
class OurConv
{
  public:
    OurConv(const sl_device &device, const sl_kernel_row &row, const sl_conv2d &s) : device_(device), shape_(s)
    {
        device_.rows = &row; // the only choice
        device_.row_count = 1;
        case_.measured = true;
        if (sl_choose(&device_, row.op, &shape_, &choice_) != SL_OK ||
            !check_set_up(&case_, check_find_op(row.op), &shape_, &row))
            std::abort();
    }

    ~OurConv()
    {
        check_release(&case_);
        sl_choice_close(&choice_);
    }

    OurConv(const OurConv &) = delete;
    OurConv &operator=(const OurConv &) = delete;

    void run()
    {
        sl_launch(&choice_, choice_.op, &shape_, case_.args.bytes);
    }

  private:
    sl_device device_;
    sl_choice choice_;
    const sl_conv2d shape_;
    check_case case_ = {};
};

std::vector<const sl_kernel_row *> rows_of(sl_op op, const sl_conv2d &shape, const Options &options)
{
    std::vector<const sl_kernel_row *> rows;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const sl_kernel_row &row = sl_kernel_rows[i];
        sl_need need;
        if (!(row.needs & SL_CPU) && std::strstr(row.name, options.row.c_str()) &&
            sl_row_takes(&row, op, &shape, sl_isa(), &need))
            rows.push_back(&row);
    }
    return rows;
}

template <class Conv> void repeat(benchmark::State &state, Conv &conv, const sl_conv2d &shape, double peak)
{
    for (auto _ : state)
        conv.run();
    const double flops = sl_conv2d_flops(&shape) * static_cast<double>(state.iterations());
    state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsRate);
    state.counters["%peak"] = benchmark::Counter(flops * 1e-7 / peak, benchmark::Counter::kIsRate);
}

void register_all(const std::vector<Layer> &layers, const sl_device &device, const Options &options, double peak)
{
    for (const Layer &layer : layers)
        for (int i = 0; i < 3; i++) {
            if (layer.passes.find(kLetters[i]) == std::string::npos)
                continue;
            const std::string op = sl_op_name(kOps[i]);
            for (const sl_kernel_row *row : rows_of(kOps[i], layer.shape, options))
                benchmark::RegisterBenchmark((op + "/" + row->name + "/" + layer.name).c_str(),
                                             [&layer, &device, row, peak](benchmark::State &state) {
                                                 OurConv conv(device, *row, layer.shape);
                                                 repeat(state, conv, layer.shape, peak);
                                             })
                    ->UseRealTime();
            benchmark::RegisterBenchmark((op + "/onednn/" + layer.name).c_str(), [&layer, i,
                                                                                  peak](benchmark::State &state) {
                const auto conv = OnednnConv::open(kOps[i], layer.shape);
                if (conv)
                    repeat(state, *conv, layer.shape, peak);
                else
                    state.SkipWithError("no oneDNN");
            })->UseRealTime();
        }
}

template <class Conv> double seconds(Conv &conv)
{
    const auto begin = std::chrono::steady_clock::now();
    conv.run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Sums over layers, by row and pass. `least` is the time that the machine's FMA peak, measured in between, allows.
struct Sum {
    double flops = 0.0, ours = 0.0, theirs = 0.0, least = 0.0;
};

void print_line(const std::string &what, const Sum &s, double median)
{
    std::printf("%-44s %8.1f %6.1f", what.c_str(), s.flops / s.ours * 1e-9, s.least / s.ours * 100.0);
    if (s.theirs > 0.0)
        std::printf(" %10.1f %8.3f", s.flops / s.theirs * 1e-9, s.theirs / s.ours);
    if (median > 0.0)
        std::printf(" %8.3f", median);
    std::printf("\n");
}

// Ours, oneDNN and the peak in turn: the speed of a shared machine changes while this runs. The ratio of the medians
// goes to `median`.
Sum compare(OurConv &ours, OnednnConv *theirs, const sl_conv2d &shape, const Options &options, double *median)
{
    std::vector<double> a, b;
    double peak = 0.0;
    ours.run();
    if (theirs)
        theirs->run();
    for (int i = 0; i < options.rounds; i++) {
        peak = std::max(peak, fma_peak(options.threads));
        a.push_back(seconds(ours));
        if (theirs)
            b.push_back(seconds(*theirs));
    }
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    *median = theirs ? b[b.size() / 2] / a[a.size() / 2] : 0.0;
    const double flops = sl_conv2d_flops(&shape);
    return {flops, a.front(), theirs ? b.front() : 0.0, flops / peak * 1e-9};
}

void print_table(const std::vector<Layer> &layers, const sl_device &device, const Options &options)
{
    std::map<std::string, Sum> sums;
    std::printf("\nbatch %d, %d thread(s), best of %d\n", options.batch, options.threads, options.rounds);
    std::printf("%-44s %8s %6s %10s %8s %8s\n", "pass/row/layer", "GFLOP/s", "%peak", "oneDNN", "ratio", "median");
    for (int i = 0; i < 3; i++)
        for (const Layer &layer : layers) {
            if (layer.passes.find(kLetters[i]) == std::string::npos)
                continue;
            const auto theirs = OnednnConv::open(kOps[i], layer.shape);
            for (const sl_kernel_row *row : rows_of(kOps[i], layer.shape, options)) {
                OurConv ours(device, *row, layer.shape);
                double median;
                const Sum s = compare(ours, theirs.get(), layer.shape, options, &median);
                const std::string op = sl_op_name(kOps[i]);
                print_line(op + "/" + row->name + "/" + layer.name, s, median);
                for (const std::string &key : {op + "/" + row->name + "/sum", std::string("sum/") + row->name}) {
                    Sum &sum = sums[key];
                    sum.flops += s.flops;
                    sum.ours += s.ours;
                    sum.theirs += s.theirs;
                    sum.least += s.least;
                }
            }
        }
    for (const auto &entry : sums)
        print_line(entry.first, entry.second, 0.0);
}

// Takes our options out of argv; what is left is Google Benchmark's.
Options parse(int *argc, char **argv)
{
    Options o;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const std::string name = argv[i];
        const char *value = i + 1 < *argc ? argv[i + 1] : "";
        if (name == "--table-only") {
            o.table_only = true;
            continue;
        }
        if (name == "--shapes")
            o.shapes = value;
        else if (name == "--layer")
            o.layer = value;
        else if (name == "--row")
            o.row = value;
        else if (name == "--batch")
            o.batch = std::max(1, std::atoi(value));
        else if (name == "--threads")
            o.threads = std::max(1, std::atoi(value));
        else if (name == "--rounds")
            o.rounds = std::max(1, std::atoi(value));
        else {
            argv[kept++] = argv[i];
            continue;
        }
        i++;
    }
    *argc = kept;
    return o;
}
} // namespace

int main(int argc, char **argv)
{
    const Options options = parse(&argc, argv);
#ifdef _OPENMP
    omp_set_num_threads(options.threads);
#endif
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 64;
    sl_device device;
    if (sl_device_cpu_open(options.threads, &device) != SL_OK) {
        std::fprintf(stderr, "bench_conv: %s\n", sl_last_error());
        return 71;
    }
    const std::vector<Layer> layers = read_layers(options);
    if (layers.empty()) {
        std::fprintf(stderr, "bench_conv: no layers in %s\n", options.shapes.c_str());
        return 66;
    }
    if (!options.table_only) {
        register_all(layers, device, options, fma_peak(options.threads));
        benchmark::RunSpecifiedBenchmarks();
    }
    print_table(layers, device, options);
    device.close(device.self);
    return 0;
}
