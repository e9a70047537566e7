// Inference of the default network, images of bytes to probabilities, through a plan: prints "infer-bN images/s RATE".
//
//   bench_infer [--batches N[,N]] [--threads N] [--seconds S] [--precision fp32|bf16] [--profile 0|1]
//
// Batches 32 and 1 stand for throughput and latency. The weights are initial ones, the images noise in memory; scaling
// the bytes, softmax and waiting for the result are in the time. The rate is that of the quickest of many parts of the
// time, of a twentieth of a second each: on a shared machine all others measure what else it does. One thread is timed
// by the processor's clock. --profile 1 prints where the time goes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "bench/turns.h"
#include "kernels/image/image.h"
#include "models/models.h"
#include "runtime/device/parallel.h"
#include "runtime/report/profile_report.h"

namespace
{
enum { SIDE = 64, CLASSES = 200, PARTS_A_SECOND = 20 };

struct Options {
    std::string batches = "32,1", precision = "fp32";
    int threads = 2;
    double seconds = 3.0;
    bool profile = false;
};

void must(int rc)
{
    if (rc == SL_OK)
        return;
    std::fprintf(stderr, "bench_infer: %s\n", sl_last_error());
    std::exit(rc);
}

// The network, its plan and a batch of images.
class Network
{
  public:
    Network(const Options &wanted, int32_t batch)
        : bytes(static_cast<size_t>(batch) * SIDE * SIDE * 3), places(static_cast<size_t>(batch))
    {
        const sl_model_options model = {SIDE, CLASSES};
        sl_plan_options options = {};
        options.batch = batch;
        options.precision = wanted.precision == "bf16" ? SL_ELEMENT_BF16 : SL_ELEMENT_F32;
        must(sl_device_cpu_open(wanted.threads, &device));
        must(sl_model_build("darknet", &model, &graph));
        must(sl_weights_open(graph, &device, false, &weights));
        must(sl_weights_init(weights, 1));
        must(sl_plan_open(graph, weights, &options, &plan));
        must(sl_plan_prepare(plan));
        for (size_t i = 0; i < bytes.size(); i++)
            bytes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
        for (size_t i = 0; i < places.size(); i++)
            places[i].index = static_cast<int64_t>(i);
        pixels.bytes = bytes.data();
        pixels.places = places.data();
        std::fill(pixels.scale, pixels.scale + 3, 1.0f / 255);
        input.pixels = &pixels;
        input.count = batch;
    }
    Network(const Network &) = delete;
    ~Network()
    {
        sl_plan_close(plan);
        sl_weights_close(weights);
        sl_graph_free(graph);
        device.close(device.self);
    }

    void answer()
    {
        const float *p;
        int32_t stride;
        must(sl_plan_forward(plan, &input));
        must(sl_plan_probabilities(plan, &p, &stride));
    }

    void profile(int steps)
    {
        sl_profile *profile;
        must(sl_profile_open(&device, plan, &profile));
        for (int i = 0; i < steps; i++) {
            sl_profile_begin_step(profile);
            answer();
            sl_profile_end_step(profile, 0.0);
        }
        sl_profile_print(profile, stdout);
        sl_profile_close(profile);
    }

  private:
    std::vector<uint8_t> bytes;
    std::vector<sl_image_place> places;
    sl_device device = {};
    sl_graph *graph = nullptr;
    sl_weights *weights = nullptr;
    sl_plan *plan = nullptr;
    sl_plan_pixels pixels = {};
    sl_plan_input input = {};
};

void measure(const Options &options, int32_t batch)
{
    Network network(options, batch);
    const double once = std::max(1e-6, seconds_of(options.threads, [&] { network.answer(), network.answer(); }) / 2);
    const int steps = std::max(1, static_cast<int>(1.0 / PARTS_A_SECOND / once));
    const int parts = std::max(1, static_cast<int>(options.seconds / once) / steps);
    double least = 1e9;
    for (int part = 0; part < parts; part++)
        least = std::min(least, seconds_of(options.threads, [&] {
                             for (int i = 0; i < steps; i++)
                                 network.answer();
                         }));
    std::printf("infer-b%d images/s %.1f\n", batch, steps * batch / least);
    if (options.profile)
        network.profile(parts * steps);
}

bool parse(int argc, char **argv, Options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const std::string name = argv[i];
        if (i + 1 >= argc)
            return false;
        if (name == "--batches")
            o->batches = argv[i + 1];
        else if (name == "--threads")
            o->threads = std::atoi(argv[i + 1]);
        else if (name == "--seconds")
            o->seconds = std::atof(argv[i + 1]);
        else if (name == "--precision")
            o->precision = argv[i + 1];
        else if (name == "--profile")
            o->profile = std::atoi(argv[i + 1]) != 0;
        else
            return false;
    }
    return o->threads > 0 && o->seconds > 0 && (o->precision == "fp32" || o->precision == "bf16");
}
} // namespace

int main(int argc, char **argv)
{
    Options options;
    if (!parse(argc, argv, &options)) {
        std::fprintf(stderr,
                     "bench_infer: the options, each with a value, stand at the head of bench/bench_infer.cc\n");
        return 64;
    }
    for (const char *at = options.batches.c_str(); *at;) {
        char *end;
        measure(options, static_cast<int32_t>(std::strtol(at, &end, 10)));
        at = *end ? end + 1 : end;
    }
    return 0;
}
