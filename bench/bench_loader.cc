// The loader, JPEG to float tensor with flip and crop, on one core, beside the bare decoding of the same bytes by
// TurboJPEG; exact, and as --fast-decode does it. All run in turns in one process; rates are of processor time, as
// other pipelines' may be counted. The bar is 0.8 of the bare speed.
//
//   bench_loader [DATASET]     without one, a sample set is made in a temporary folder
#include <algorithm>
#include <ctime>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <turbojpeg.h>

#include "runtime/data/loader.h"
#include "runtime/prepare/prepare.h"
#include "runtime/prepare/invent.h"
#include "runtime/data/shard.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"

namespace
{
enum { BATCH = 32, ROUNDS = 11 };

struct Bench {
    std::string folder;
    sl_dataset *set = nullptr;
    std::vector<sl_shard_reader> shards;
    std::vector<const sl_shard_sample *> samples;
};

void must(int rc)
{
    if (rc == SL_OK)
        return;
    std::fprintf(stderr, "bench_loader: %s\n", sl_last_error());
    std::exit(rc);
}

// Processor time of all threads: what the work costs one core, whatever else the machine does.
double seconds()
{
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

std::string make_sample_set()
{
    char root[] = "/tmp/bench-loader-XXXXXX";
    if (!mkdtemp(root))
        must(sl_fail(SL_CANNOT_CREATE, "no temporary folder"));
    const std::string images = std::string(root) + "/images", prepared = std::string(root) + "/set";
    sl_invent_options sample = {};
    sample.classes = 10;
    sample.per_class = 200;
    sample.val_per_class = 1;
    sample.size = 64;
    sample.seed = 1;
    must(sl_invent_write(images.c_str(), &sample));
    sl_prepare_options options = {};
    options.input = images.c_str();
    options.output = prepared.c_str();
    options.images_per_file = 1024;
    options.image_size = 64;
    options.seed = 1;
    options.val_fraction = -1;
    options.threads = 1;
    sl_dataset *set = nullptr;
    must(sl_prepare(&options, &set));
    sl_dataset_close(set);
    return prepared;
}

void open_samples(Bench &bench)
{
    const sl_split *split = sl_dataset_split(bench.set, "train");
    bench.shards.resize(split->shard_count);
    for (size_t i = 0; i < split->shard_count; i++) {
        must(sl_shard_reader_open(bench.set->folder, &split->shards[i], bench.set->class_count, &bench.shards[i]));
        for (size_t j = 0; j < bench.shards[i].count; j++)
            bench.samples.push_back(&bench.shards[i].samples[j]);
    }
}

// Seconds for one pass over the split by TurboJPEG alone, at its better speed: rows that are aligned to a vector it
// writes past the cache, which takes a quarter longer.
double bare_pass(const Bench &bench, bool fast)
{
    enum { CROOKED = 8, VECTOR = 64 };
    static std::vector<unsigned char> room;
    const int flags = fast ? TJFLAG_FASTDCT | TJFLAG_FASTUPSAMPLE : 0;
    tjhandle handle = tjInitDecompress();
    const double begin = seconds();
    for (const sl_shard_sample *sample : bench.samples) {
        int width, height, subsampling, colour;
        if (tjDecompressHeader3(handle, sample->jpeg, sample->length, &width, &height, &subsampling, &colour) != 0)
            must(sl_fail(SL_BAD_DATA, "a damaged sample"));
        room.resize((size_t)width * (size_t)height * 3 + 2 * VECTOR);
        unsigned char *rgb = room.data() + VECTOR - (uintptr_t)room.data() % VECTOR + CROOKED;
        if (tjDecompress2(handle, sample->jpeg, sample->length, rgb, width, 0, height, TJPF_RGB, flags) != 0)
            must(sl_fail(SL_BAD_DATA, "a damaged sample"));
    }
    const double spent = seconds() - begin;
    tjDestroy(handle);
    return spent;
}

// Bytes to floats, as a plan does it with every batch: the loader's work is not over before.
class Conversion
{
  public:
    Conversion(const sl_dataset *set) : side(set->pixels.size), images((size_t)BATCH * (size_t)side * (size_t)side * 3)
    {
        must(sl_device_cpu_open(1, &device));
        const sl_image shape = shape_of(BATCH);
        must(sl_choose_image_to_float(&device, &shape, &choice));
    }
    ~Conversion()
    {
        sl_choice_close(&choice);
        device.close(device.self);
    }
    void run(const sl_batch *batch)
    {
        const sl_image shape = shape_of(batch->count);
        sl_image_to_float args = {};
        args.x = batch->pixels;
        args.places = batch->places;
        std::copy_n(batch->scale, 3, args.scale);
        std::copy_n(batch->shift, 3, args.shift);
        args.y = images.data();
        must(sl_launch_image_to_float(&choice, &shape, &args));
    }

  private:
    sl_image shape_of(int32_t n) const
    {
        return {side, side, side, side, n, SL_ELEMENT_F32};
    }

    int32_t side;
    std::vector<float> images;
    sl_device device = {};
    sl_choice choice = {};
};

// Seconds for one pass by the loader with one thread; cached: the second pass, from memory.
double loader_pass(const Bench &bench, bool cached, bool fast)
{
    sl_loader_options options = {};
    options.split = "train";
    options.batch_size = BATCH;
    options.seed = 1;
    options.shuffle = options.flip = true;
    options.crop_padding = 4;
    options.threads = 1;
    options.pixels.fast_decode = fast;
    options.cache_bytes = cached ? UINT64_MAX : 0;
    sl_loader *loader = nullptr;
    const sl_batch *batch = nullptr;
    must(sl_loader_open(bench.set, &options, &loader));
    const uint64_t batches = sl_loader_batches(loader);
    Conversion conversion(bench.set);
    for (uint64_t i = 0; cached && i < batches; i++)
        must(sl_loader_next(loader, &batch));
    const double begin = seconds();
    for (uint64_t i = 0; i < batches; i++) {
        must(sl_loader_next(loader, &batch));
        conversion.run(batch);
    }
    const double spent = seconds() - begin;
    sl_loader_close(loader);
    return spent;
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void compare(const Bench &bench)
{
    std::vector<double> bare, live, ratio, fast_bare, fast_live, fast_ratio, cached;
    const double begin = seconds();
    sl_loader_options options = {};
    options.split = "train";
    options.batch_size = BATCH;
    sl_loader *loader = nullptr;
    must(sl_loader_open(bench.set, &options, &loader));
    sl_loader_close(loader);
    const double opening = seconds() - begin;
    for (int i = 0; i < ROUNDS; i++) {
        bare.push_back(bare_pass(bench, false));
        live.push_back(loader_pass(bench, false, false));
        ratio.push_back(bare.back() / live.back());
        fast_bare.push_back(bare_pass(bench, true));
        fast_live.push_back(loader_pass(bench, false, true));
        fast_ratio.push_back(fast_bare.back() / fast_live.back());
        cached.push_back(loader_pass(bench, true, false));
    }
    const double n = (double)bench.samples.size();
    std::printf("images                     %12.0f\n", n);
    std::printf("open (hash and index)      %12.3f s\n", opening);
    std::printf("bare TurboJPEG decode      %12.0f images/s\n", n / median(bare));
    std::printf("loader, live decode        %12.0f images/s\n", n / median(live));
    std::printf("ratio live / bare          %12.3f (bar 0.8)\n", median(ratio));
    std::printf("bare TurboJPEG, fast       %12.0f images/s\n", n / median(fast_bare));
    std::printf("loader, live fast decode   %12.0f images/s\n", n / median(fast_live));
    std::printf("ratio live / bare, fast    %12.3f\n", median(fast_ratio));
    std::printf("loader, cached             %12.0f images/s\n", n / median(cached));
}
} // namespace

int main(int argc, char **argv)
{
    Bench bench;
    bench.folder = argc > 1 ? argv[1] : make_sample_set();
    must(sl_dataset_open(bench.folder.c_str(), &bench.set));
    open_samples(bench);
    compare(bench);
    for (sl_shard_reader &shard : bench.shards)
        sl_shard_reader_close(&shard);
    sl_dataset_close(bench.set);
    if (argc <= 1)
        std::filesystem::remove_all(std::filesystem::path(bench.folder).parent_path());
    return 0;
}
