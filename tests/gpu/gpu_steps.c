/* Whole training steps of the default network on a GPU, in every way that the host may hand them over: one after the
 * other, from pinned memory, with images that stay on the device, recorded, and ahead of their results. All end in the
 * same bits; how long each takes is printed, and how far the gradient is from that of the processor's exact rows.
 *
 * That is more than the rounding of sums: where two pixels of a window are nearly equal, or one is nearly zero, a
 * rounding sends all that comes back another way. So the yardstick is how far the processor's own other rows are,
 * Winograd's in fp32, those of bf16 for what has fewer digits.
 *
 *   gpu_steps [--emulated] [BATCH]
 *
 * --emulated: the first and the last way, two steps on small images in bf16, without a GPU, to test this program. Exit:
 * 0, 1 (other bits, too far, or the device failed), 77 (there is no GPU). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/elementwise/philox.h"
#include "kernels/image/image.h"
#include "models/models.h"
#include "runtime/base/clock.h"
#include "runtime/device/backend.h"
#include "runtime/device/parallel.h"
#include "runtime/train/train_step.h"
#include "tests/gpu/emulated_device.h"

enum { SKIP = 77, CLASSES = 200, MOST_BATCH = 4096 };

struct effort {
    int32_t batch, side, images;
    int warm, steps;
    int apart; /* ways that are tried: every so many */
};
static const struct effort real = {32, 64, 4096, 20, 100, 1}, emulated = {2, 8, 8, 1, 1, 6};

static const struct way {
    const char *name;
    bool sends, records, holds, ahead; /* sends: from pinned memory */
} ways[] = {
    {"one after the other, pageable", false, false, false, false},
    {"pinned", true, false, false, false},
    {"pinned, ahead", true, false, false, true},
    {"images stay", true, false, true, false},
    {"images stay, ahead", true, false, true, true},
    {"pinned, recorded, ahead", true, true, false, true},
    {"images stay, recorded, ahead", true, true, true, true},
};
enum { WAYS = sizeof ways / sizeof *ways };

static const struct precision {
    const char *name;
    enum sl_element element;
    bool tf32;
    enum sl_element yardstick; /* the processor's rows whose gradient is so far off that ... */
    double most;               /* ... this one may be so many times as far */
} precisions[] = {
    {"fp32", SL_ELEMENT_F32, false, SL_ELEMENT_F32, 1.5},
    {"tf32", SL_ELEMENT_F32, true, SL_ELEMENT_BF16, 0.5},
    {"bf16", SL_ELEMENT_BF16, false, SL_ELEMENT_BF16, 1.25},
};
enum { PRECISIONS = sizeof precisions / sizeof *precisions };

/* Images and where a step takes them from. */
struct data {
    const struct effort *effort;
    uint8_t *images;
    struct sl_image_place *places; /* [batch] */
    int32_t *labels;               /* [batch] */
};

struct run {
    struct sl_device device;
    struct sl_graph *graph;
    struct sl_weights *weights;
    struct sl_updater *updater;
    struct sl_plan *plan;
    double rate;            /* of SGD; 0: AMSGrad, as trainings do */
    double seconds, host;   /* of a step; of starting it */
    float *before, *result; /* the weights */
};

static bool make_data(const struct effort *effort, struct data *data)
{
    const size_t bytes = (size_t)effort->images * (size_t)effort->side * (size_t)effort->side * 3;
    *data = (struct data){effort, malloc(bytes), calloc((size_t)effort->batch, sizeof *data->places),
                          calloc((size_t)effort->batch, sizeof *data->labels)};
    for (size_t i = 0; data->images && i < bytes; i++)
        data->images[i] = (uint8_t)sl_philox4x32(7, 1, i / 4).word[i % 4];
    return data->images && data->places && data->labels;
}

static void free_data(struct data *data)
{
    free(data->images);
    free(data->places);
    free(data->labels);
}

/* Step i: the same samples in every way. */
static int start(struct run *run, struct data *data, int i, struct sl_train_ticket *ticket)
{
    const struct effort *e = data->effort;
    const float scale = 1.0f / 255.0f;
    const double amsgrad = i % 2 ? 1e-4 : 2e-4;
    const struct sl_plan_pixels pixels = {data->images, data->places, {scale, scale, scale}, {0.0f, 0.0f, 0.0f}};
    for (int32_t k = 0; k < e->batch; k++) {
        const struct sl_philox draw = sl_philox4x32(9, (uint64_t)i, (uint64_t)k);
        data->places[k] = (struct sl_image_place){draw.word[0] % (uint32_t)e->images, (int32_t)(draw.word[1] % 9) - 4,
                                                  (int32_t)(draw.word[2] % 9) - 4, (int32_t)(draw.word[3] & 1)};
        data->labels[k] = (int32_t)(data->places[k].index % CLASSES);
    }
    const struct sl_train_input input = {
        .batch = {.pixels = &pixels, .labels = data->labels, .count = e->batch, .seed = 5, .iteration = (uint64_t)i},
        .rate = run->rate > 0.0 ? run->rate : amsgrad,
    };
    const double begin = sl_clock();
    const int rc = sl_train_start(run->plan, run->updater, &input, ticket);
    run->host += sl_clock() - begin;
    return rc;
}

static int take_steps(struct run *run, struct data *data, bool ahead)
{
    int rc = SL_OK;
    const int all = data->effort->warm + data->effort->steps;
    double begin = sl_clock();
    struct sl_train_ticket now, next = {0};
    struct sl_train_result result;
    SL_TRY(start(run, data, 0, &next));
    for (int i = 0; i < all; i++) {
        now = next;
        if (ahead && i + 1 < all)
            SL_TRY(start(run, data, i + 1, &next));
        SL_TRY(sl_train_finish(run->plan, run->updater, &now, &result));
        if (i + 1 == data->effort->warm) {
            begin = sl_clock();
            run->host = 0.0;
        }
        if (!ahead && i + 1 < all)
            SL_TRY(start(run, data, i + 1, &next));
    }
    run->seconds = (sl_clock() - begin) / data->effort->steps;
    run->host /= data->effort->steps;
out:
    return rc;
}

static int read_weights(struct run *run, float **to)
{
    int rc = SL_OK;
    const struct sl_device *device = &run->device;
    const size_t bytes = (size_t)run->weights->trained * sizeof **to;
    if (!(*to = malloc(bytes)))
        SL_FAIL(SL_SYSTEM, "out of memory for the weights");
    SL_TRY(device->sync(device->self));
    SL_TRY(device->copy(device->self, *to, run->weights->values, bytes));
    rc = device->sync(device->self);
out:
    return rc;
}

static void choose_way(struct sl_device *device, const struct way *way, const struct precision *precision)
{
    device->isa = precision->tf32 ? device->isa | SL_TF32 : device->isa & ~(uint32_t)SL_TF32;
    if (!way->records)
        device->record_begin = NULL;
    if (way->sends)
        return;
    device->send = NULL;
    device->sent = NULL;
    device->mark = device->reach = NULL;
}

static int open_run(struct run *run, struct data *data, const struct way *way, enum sl_element element,
                    const struct sl_selection *rows)
{
    int rc = SL_OK;
    const struct effort *e = data->effort;
    struct sl_updater_options updater = sl_updater_defaults();
    if (run->rate > 0.0)
        updater = (struct sl_updater_options){.kind = SL_UPDATER_SGD};
    const struct sl_plan_options plan = {.batch = e->batch, .training = true, .precision = element, .rows = rows};
    SL_TRY(sl_model_build("darknet", &(struct sl_model_options){e->side, CLASSES}, &run->graph));
    SL_TRY(sl_weights_open(run->graph, &run->device, true, &run->weights));
    SL_TRY(sl_weights_init(run->weights, 11));
    SL_TRY(sl_updater_open(run->weights, &updater, &run->updater));
    SL_TRY(sl_plan_open(run->graph, run->weights, &plan, &run->plan));
    if (way->holds)
        SL_TRY(sl_plan_hold_images(run->plan, data->images, (uint64_t)e->images));
out:
    return rc;
}

/* All but what came of it. */
static void close_run(struct run *run)
{
    sl_updater_close(run->updater);
    sl_plan_close(run->plan);
    sl_weights_close(run->weights);
    sl_graph_free(run->graph);
}

/* `wanted`: the weights of the first way; NULL: this is the first. */
static bool try_way(const struct sl_device *device, struct data *data, const struct way *way,
                    const struct precision *precision, struct run *run, const float *wanted)
{
    *run = (struct run){.device = *device};
    choose_way(&run->device, way, precision);
    int rc = open_run(run, data, way, precision->element, NULL);
    if (rc == SL_OK)
        rc = take_steps(run, data, way->ahead && run->device.mark);
    if (rc == SL_OK)
        rc = read_weights(run, &run->result);
    const size_t bytes = rc == SL_OK ? (size_t)run->weights->trained * sizeof(float) : 0;
    const bool same = rc == SL_OK && (!wanted || !memcmp(run->result, wanted, bytes));
    printf("%-5s %-32s %9.1f us a step, %7.1f to start it, %9.1f images/s, %llu replays%s%s\n", precision->name,
           way->name, 1e6 * run->seconds, 1e6 * run->host,
           data->effort->batch / (run->seconds > 0 ? run->seconds : 1.0),
           (unsigned long long)(run->plan ? sl_plan_replays(run->plan) : 0), same ? "" : ": FAILED: ",
           rc != SL_OK ? sl_last_error()
           : same      ? ""
                       : "other bits than one after the other");
    fflush(stdout);
    close_run(run);
    return same;
}

static bool try_precision(const struct sl_device *device, struct data *data, const struct precision *precision)
{
    bool all = true;
    float *wanted = NULL;
    for (int i = 0; i < WAYS; i += data->effort->apart) {
        struct run run;
        all = try_way(device, data, &ways[i], precision, &run, wanted) && all;
        if (i == 0)
            wanted = run.result;
        else
            free(run.result);
    }
    free(wanted);
    return all;
}

/* ---- one step beside the processor's ---- */

/* A step of plain SGD: what it changes is the gradient. */
static int take_one_step(const struct sl_device *device, struct data *data, enum sl_element element, bool exact,
                         struct run *run)
{
    int rc = SL_OK;
    const struct sl_selection rows = {.policy = exact ? SL_POLICY_EXACT : SL_POLICY_SHIPPED};
    *run = (struct run){.device = *device, .rate = 1.0};
    SL_TRY(open_run(run, data, &ways[0], element, &rows));
    SL_TRY(read_weights(run, &run->before));
    SL_TRY(take_steps(run, data, false));
    rc = read_weights(run, &run->result);
out:
    return rc;
}

/* How far such a step of some rows is from that of the processor's exact ones, beside the latter's length. */
static int step_off(const struct sl_device *device, struct data *data, enum sl_element element,
                    const struct run *wanted, double *off)
{
    struct run run;
    double difference = 0.0, length = 0.0;
    const int rc = take_one_step(device, data, element, false, &run);
    for (int64_t i = 0; rc == SL_OK && i < wanted->weights->trained; i++) {
        difference += pow((double)run.result[i] - (double)wanted->result[i], 2);
        length += pow((double)wanted->result[i] - (double)wanted->before[i], 2);
    }
    *off = sqrt(difference / length);
    close_run(&run);
    free(run.before);
    free(run.result);
    return rc;
}

static bool compare_step(const struct sl_device *device, const struct data *data, const struct precision *precision)
{
    int rc = SL_OK;
    struct effort one = *data->effort;
    struct data same = *data;
    struct sl_device cpu = {.close = NULL}, chosen = *device;
    struct run exact = {.plan = NULL};
    double others = 0.0, off = 0.0;
    one.warm = 0;
    one.steps = 1;
    same.effort = &one;
    choose_way(&chosen, &ways[0], precision);
    SL_TRY(sl_device_cpu_open(0, &cpu));
    SL_TRY(take_one_step(&cpu, &same, SL_ELEMENT_F32, true, &exact));
    SL_TRY(step_off(&cpu, &same, precision->yardstick, &exact, &others));
    rc = step_off(&chosen, &same, precision->element, &exact, &off);
out:;
    const bool near = rc == SL_OK && off <= precision->most * others;
    printf("%-5s %-32s gradient off by %.1e of its length, other rows of the processor by %.1e%s%s\n", precision->name,
           "beside the processor's exact one", off, others, near ? "" : ": FAILED ",
           rc == SL_OK ? "" : sl_last_error());
    fflush(stdout);
    close_run(&exact);
    free(exact.before);
    free(exact.result);
    if (cpu.close)
        cpu.close(cpu.self);
    return near;
}

static int open_device(bool alone, struct sl_device *device)
{
    return alone ? emulated_device_open(device) : sl_backend_open(&(struct sl_backend_options){.name = "cuda"}, device);
}

int main(int argc, char **argv)
{
    const bool alone = argc > 1 && !strcmp(argv[1], "--emulated");
    struct effort effort = alone ? emulated : real;
    struct sl_device device;
    struct data data;
    bool all = true;
    if (argc > 1 + alone)
        effort.batch = (int32_t)strtol(argv[1 + alone], NULL, 10);
    if (argc > 2 + alone || effort.batch < 1 || effort.batch > MOST_BATCH) {
        fprintf(stderr, "usage: gpu_steps [--emulated] [BATCH]\n");
        return SL_USAGE;
    }
    if (open_device(alone, &device) != SL_OK) {
        printf("skipped: %s\n", sl_last_error());
        return SKIP;
    }
    printf("gpu_steps on %s: batch %d, %d steps after %d\n", device.name, effort.batch, effort.steps, effort.warm);
    if (!make_data(&effort, &data)) {
        fprintf(stderr, "gpu_steps: out of memory\n");
        return SL_SYSTEM;
    }
    for (int i = alone ? PRECISIONS - 1 : 0; i < PRECISIONS; i++) {
        all = compare_step(&device, &data, &precisions[i]) && all;
        all = try_precision(&device, &data, &precisions[i]) && all;
    }
    free_data(&data);
    device.close(device.self);
    printf("%s\n", all ? "every way ends in the same bits, near the processor's" : "FAILED");
    return !all;
}
