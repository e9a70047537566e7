/* A file -> sl_safetensors_open, as it is and with its seal set right; then, if it says so, a model with its weights.
 */
#include "runtime/base/hash.h"
#include "runtime/store/model.h"
#include "runtime/device/parallel.h"
#include "runtime/store/model_json.h"
#include "runtime/store/model_weights.h"
#include "tests/fuzz/fuzz.h"

static void load_model(const struct sl_safetensors *file)
{
    struct sl_device device;
    struct sl_model model;
    struct sl_weights *weights = NULL;
    if (sl_model_describe(file, &model) != SL_OK)
        return;
    FUZZ_MUST(sl_device_cpu_open(1, &device) == SL_OK);
    if (sl_weights_open(model.graph, &device, false, &weights) == SL_OK && sl_weights_load(weights, file) == SL_OK) {
        fuzz_touch(weights->values, (size_t)weights->trained * sizeof *weights->values);
        fuzz_touch(weights->statistics, (size_t)weights->state * sizeof *weights->statistics);
    }
    sl_weights_close(weights);
    sl_model_close(&model);
    device.close(device.self);
}

static void judge(const void *bytes, size_t length)
{
    struct sl_safetensors *file;
    fuzz_put("input.safetensors", bytes, length);
    if (sl_safetensors_open(fuzz_path("input.safetensors"), &file) != SL_OK)
        return;
    for (size_t i = 0; i < sl_safetensors_count(file); i++) {
        const struct sl_named_tensor *tensor = sl_safetensors_at(file, i);
        uint64_t size;
        FUZZ_MUST(sl_safetensors_find(file, tensor->name) == tensor);
        FUZZ_MUST(sl_named_tensor_bytes(tensor, &size) == SL_OK && size <= length);
        FUZZ_MUST(size == 0 || (uintptr_t)tensor->data % sl_dtype_bytes(tensor->dtype) == 0);
        fuzz_touch(tensor->data, (size_t)size);
    }
    FUZZ_MUST(sl_safetensors_bytes(file) == length);
    load_model(file);
    sl_safetensors_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char marker[] = "\"" SL_SAFETENSORS_SEAL "\":\"";
    uint64_t header, seal;
    judge(bytes, length);
    if (length < sizeof header)
        return 0;
    memcpy(&header, bytes, sizeof header);
    if (header > length - sizeof header)
        return 0;
    const size_t data = sizeof header + (size_t)header;
    char *copy = fuzz_copy(bytes, length, 0);
    const size_t at = sl_seal_find(copy, data, marker);
    if (at != SIZE_MAX) {
        FUZZ_MUST(sl_seal_hash(copy, data, at, copy + data, length - data, &seal) == SL_OK);
        sl_seal_write(copy, at, seal);
        judge(copy, length);
    }
    free(copy);
    return 0;
}
