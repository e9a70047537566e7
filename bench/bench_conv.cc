// Rows of the convolutions beside oneDNN, on the layers of a network.
//
//   bench_conv [--rows NAME[,NAME]|all] [--isa avx2|avx512] [--shapes FILE] [--layer NAME] [--batch N] [--threads N]
//              [--rounds N] [--precision fp32|bf16]
//
// Without --rows it measures the row that a plan would take; SL_KERNEL counts. --isa holds both sides and the peak to
// an instruction set (avx512 in bf16: oneDNN may use VDPBF16PS; without --isa, AMX too). --precision is that of the
// activations on both sides, and of oneDNN's weights. For every layer and pass the rows, oneDNN in its blocked formats
// and in NHWC, and the machine's FMA peak run in turns; the layout with the lesser median time there is the yardstick,
// and is marked with a star. Where oneDNN has Winograd's method, it runs as well and is compared like our rows.
//
// `ms` is the median over the rounds, `least` the best of them. GFLOP/s count the operations of the formula, `executed`
// those of the multiplications that a row runs instead (fewer, in Winograd's domain); %peak is of the latter. `x` is
// the yardstick's time over this one: the median over the rounds, and its quartiles. Our rows pack their weights in
// every run; oneDNN has them in its format beforehand. One thread is timed by the processor's clock, so that programs
// beside it cost less; several by the wall's. The process stays on as many processors as threads are asked for,
// whatever pool of threads a oneDNN brings (OpenMP, TBB, SYCL).
//
// cmake -DSL_DNNL_ROOT=FOLDER takes another oneDNN than the system's. Intel's of PyPI (onednn, onednn-devel) computes
// through SYCL, which finds the processor with OCL_ICD_FILENAMES=FOLDER/lib/libintelocl.so.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>

#include "bench/conv_layers.h"
#include "bench/conv_table.h"
#include "bench/fma_peak.h"
#include "bench/onednn_conv.h"
#include "runtime/device/parallel.h"

#ifdef _OPENMP
#include <omp.h>
#endif

namespace
{
struct Options {
    std::string shapes = SL_BENCH_SHAPES "/darknet.txt", layer, rows, isa, precision = "fp32";
    int batch = 32, threads = 1, rounds = 11;
};

// A contestant and what runs it.
struct Turn {
    Contestant *contestant;
    std::function<void()> run;
};

void take_turns(const Options &options, const std::vector<Turn> &turns)
{
    const bool wide = sl_isa() & SL_AVX512;
    for (const Turn &turn : turns)
        turn.run();
    for (int round = 0; round < options.rounds; round++) {
        const double peak = fma_peak(options.threads, wide);
        for (const Turn &turn : turns) {
            turn.contestant->seconds.add(seconds_of(options.threads, turn.run));
            turn.contestant->roof.add(turn.contestant->executed / peak * 1e-9);
        }
    }
}

Cell measure(const ConvLayer &layer, sl_op op, const sl_device &device, const Options &options)
{
    Cell cell;
    std::vector<Turn> turns;
    std::vector<std::unique_ptr<OurConv>> ours;
    const auto theirs = OnednnConv::open_all(op, layer.shape);
    const auto rows = find_conv_rows(device, op, layer.shape, options.rows);
    const double flops = sl_conv2d_flops(&layer.shape);
    cell.ours.resize(rows.size());
    cell.theirs.resize(theirs.size());
    for (size_t i = 0; i < rows.size(); i++) {
        ours.push_back(std::make_unique<OurConv>(device, *rows[i], layer.shape));
        cell.ours[i].name = rows[i]->name;
        cell.ours[i].flops = flops;
        cell.ours[i].executed = ours[i]->flops();
        turns.push_back({&cell.ours[i], [conv = ours[i].get()] { conv->run(); }});
    }
    for (size_t i = 0; i < theirs.size(); i++) {
        cell.theirs[i].name = "onednn " + theirs[i]->way();
        cell.theirs[i].note = theirs[i]->implementation();
        cell.theirs[i].direct = theirs[i]->work() == 1.0;
        cell.theirs[i].flops = flops;
        cell.theirs[i].executed = flops * theirs[i]->work();
        turns.push_back({&cell.theirs[i], [conv = theirs[i].get()] { conv->run(); }});
    }
    take_turns(options, turns);
    cell.choose_yardstick();
    return cell;
}

void measure_all(const std::vector<ConvLayer> &layers, const sl_device &device, const Options &options)
{
    ConvSums all;
    const std::string with = onednn_version();
    std::printf("%s, batch %d, %d thread(s), %d rounds, %s, %s\n", options.precision.c_str(), options.batch,
                options.threads, options.rounds, sl_isa_text(sl_isa()), with.empty() ? "no oneDNN" : with.c_str());
    if (options.precision == "bf16")
        std::printf("VDPBF16PS at its peak: %.2f times the FMA peak\n",
                    dot_peak(options.threads) / fma_peak(options.threads, sl_isa() & SL_AVX512));
    for (sl_op op : {SL_OP_conv2d_fwd, SL_OP_conv2d_bwd_data, SL_OP_conv2d_bwd_weights}) {
        ConvSums sums;
        print_conv_head(sl_op_name(op));
        for (const ConvLayer &layer : layers)
            if (std::count(layer.passes.begin(), layer.passes.end(), op)) {
                const Cell cell = measure(layer, op, device, options);
                print_conv_cell(layer.name, cell);
                sums.add(cell);
                all.add(cell);
            }
        sums.print("sum", options.batch, options.threads);
    }
    print_conv_head("all passes");
    all.print("sum", options.batch, options.threads);
}

int count_of(const char *text)
{
    return std::max(1, std::atoi(text));
}

// False: a word that means nothing.
bool parse(int argc, char **argv, Options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const std::string name = argv[i];
        if (i + 1 >= argc)
            return false;
        const char *value = argv[i + 1];
        if (name == "--shapes")
            o->shapes = value;
        else if (name == "--layer")
            o->layer = value;
        else if (name == "--rows")
            o->rows = value;
        else if (name == "--isa")
            o->isa = value;
        else if (name == "--precision")
            o->precision = value;
        else if (name == "--batch")
            o->batch = count_of(value);
        else if (name == "--threads")
            o->threads = count_of(value);
        else if (name == "--rounds")
            o->rounds = count_of(value);
        else
            return false;
    }
    return (o->isa.empty() || o->isa == "avx2" || o->isa == "avx512") &&
           (o->precision == "fp32" || o->precision == "bf16");
}

// Both sides read these when they are first asked for something.
void hold_isa(const std::string &isa, bool bf16)
{
    if (isa.empty())
        return;
    setenv("SL_ISA", isa.c_str(), 1);
    setenv("ONEDNN_MAX_CPU_ISA", isa == "avx2" ? "AVX2" : bf16 ? "AVX512_CORE_BF16" : "AVX512_CORE", 1);
}

// The first `count` of the processors that this process may use. Before a pool of threads is made.
void hold_processors(int count)
{
    cpu_set_t allowed, held;
    CPU_ZERO(&held);
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&held) < count; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            CPU_SET(cpu, &held);
    sched_setaffinity(0, sizeof held, &held);
#ifdef _OPENMP
    omp_set_num_threads(count); // it has counted already
#endif
}

int fail(int status, const std::string &what)
{
    std::fprintf(stderr, "bench_conv: %s\n", what.c_str());
    return status;
}
} // namespace

int main(int argc, char **argv)
{
    Options options;
    sl_device device;
    if (!parse(argc, argv, &options))
        return fail(64, "the options, each with a value, stand at the head of bench/bench_conv.cc");
    const bool bf16 = options.precision == "bf16";
    hold_isa(options.isa, bf16);
    hold_processors(options.threads);
    if (sl_isa_check() != SL_OK || sl_kernel_check() != SL_OK)
        return fail(78, sl_last_error());
    const std::string unknown = find_unknown_row(options.rows);
    if (!unknown.empty())
        return fail(64, "no row of a convolution is named " + unknown + " (kernels/kernels.def)");
    const std::vector<ConvLayer> layers =
        read_conv_layers(options.shapes, options.layer, options.batch, bf16 ? SL_ELEMENT_BF16 : SL_ELEMENT_F32);
    if (layers.empty())
        return fail(66, "no layers in " + options.shapes);
    if (sl_device_cpu_open(options.threads, &device) != SL_OK)
        return fail(71, sl_last_error());
    int status = 0;
    try {
        measure_all(layers, device, options);
    } catch (const std::exception &error) {
        status = fail(69, onednn_version() + ": " + error.what());
    }
    device.close(device.self);
    return status;
}
