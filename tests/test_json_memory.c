/* Everything that is written as JSON while memory runs out, at every allocation of jansson's in turn: either the whole
 * text comes out or an error does, never a text with something missing. */
#include <jansson.h>

#include "runtime/graph/graph_json.h"
#include "runtime/plan/selection.h"
#include "models/models.h"
#include "runtime/store/model.h"
#include "runtime/report/run_config.h"
#include "runtime/store/manifest.h"
#include "runtime/store/model_json.h"
#include "tests/data_fixture.h"

static int countdown; /* the allocation that fails; later ones do as well if `stays` */
static bool stays;

static void *allocate(size_t bytes)
{
    countdown--;
    return countdown == 0 || (countdown < 0 && stays) ? NULL : malloc(bytes);
}

static struct sl_class classes[] = {{"cat", "a cat"}, {"dog", "a dog"}, {"eel", "an eel"}};
static uint64_t class_samples[] = {2, 2, 1};

/* ---- the writers: each puts its text into *text, which is freed by the caller ---- */

static struct sl_graph *network;

static int write_graph(char **text)
{
    return sl_graph_to_json(network, text);
}

static int write_model(char **text)
{
    const struct sl_model model = {
        .graph = network, .class_count = 3, .classes = classes, .pixels = {.deviation = {1, 1, 1}}};
    return sl_model_to_json(&model, text);
}

/* The file that `rc` says was written. */
static int take_file(int rc, const char *path, char **text)
{
    size_t length;
    if (rc == SL_OK)
        assert_int_equal(sl_io_read_own(path, 1 << 20, text, &length), SL_OK);
    unlink(path);
    return rc;
}

static int write_dataset(char **text)
{
    struct sl_shard shard = {"train-00000.tar", 4096, 5, 7};
    struct sl_split split = {"train", 5, 1, &shard, class_samples};
    const struct sl_dataset dataset = {.folder = fixture_root,
                                       .name = "animals",
                                       .pixels = {.size = 8, .deviation = {1, 1, 1}},
                                       .class_count = 3,
                                       .classes = classes,
                                       .split_count = 1,
                                       .splits = &split};
    return take_file(sl_dataset_write(&dataset), at("dataset.json"), text);
}

static int write_settings(char **text)
{
    static const char *const name = "darknet", *const bytes = "\xff", *const none = NULL;
    static const int64_t seed = 7;
    const struct sl_setting settings[] = {{"model", SL_SETTING_TEXT, &name},
                                          {"run", SL_SETTING_TEXT, &bytes},
                                          {"data", SL_SETTING_TEXT, &none},
                                          {"seed", SL_SETTING_INT, &seed}};
    return take_file(sl_run_config_write(at("config.json"), settings, 4), at("config.json"), text);
}

static int write_manifest(char **text)
{
    struct sl_store_entry files[] = {{"model.safetensors", 5, 6}, {"updater.safetensors", 7, 8}};
    const struct sl_manifest manifest = {3, 2, files};
    return take_file(sl_manifest_write(fixture_root, &manifest), at("manifest.json"), text);
}

static int write_tensors(char **text)
{
    static const float values[6] = {1, 2, 3, 4, 5, 6};
    const struct sl_named_tensor tensors[] = {{"a", SL_F32, 2, {2, 3}, values}, {"b", SL_F32, 1, {4}, values}};
    const struct sl_text_pair metadata = {"key", "value"};
    const int rc = sl_safetensors_write(at("model.safetensors"), tensors, 2, &metadata, 1, NULL, NULL);
    char *file = NULL;
    const int taken = take_file(rc, at("model.safetensors"), &file);
    if (taken == SL_OK)
        *text = strdup(file + 8); /* behind the length: the header, up to the first zero of the numbers */
    free(file);
    return taken;
}

static int write_selection(char **text)
{
    struct sl_selected list[] = {{"training conv2d_fwd 00", "direct_avx2", 3, 4, SL_SOURCE_MEASURED},
                                 {"inference conv2d_fwd 00", "winograd_avx2", 1, 2, SL_SOURCE_CACHE}};
    const struct sl_selection rows = {.policy = SL_POLICY_FASTEST, .list = list, .count = 2};
    return sl_selection_to_json(&rows, "here", text);
}

static const struct {
    const char *name;
    int (*write)(char **text);
} writers[] = {
    {"graph", write_graph},         {"model", write_model},       {"dataset", write_dataset},
    {"settings", write_settings},   {"manifest", write_manifest}, {"tensors", write_tensors},
    {"selection", write_selection},
};

/* ---- the test ---- */

static void whole_or_an_error(size_t w)
{
    char *whole = NULL;
    countdown = INT32_MAX;
    assert_int_equal(writers[w].write(&whole), SL_OK);
    const int allocations = INT32_MAX - countdown;
    assert_true(allocations > 5);
    for (int variant = 0; variant < 2; variant++)
        for (int n = 1; n <= allocations; n++) {
            char *text = NULL;
            stays = variant == 1;
            countdown = n;
            const int rc = writers[w].write(&text);
            if (rc == SL_OK && strcmp(text, whole))
                fail_msg("%s: without the allocation %d of %d:\n%s\ninstead of\n%s", writers[w].name, n, allocations,
                         text, whole);
            free(text);
        }
    free(whole);
}

static void nothing_goes_missing(void **state)
{
    (void)state;
    const struct sl_model_options options = {.image_size = 64, .classes = 3};
    assert_int_equal(sl_model_build("residual", &options, &network), SL_OK);
    json_set_alloc_funcs(allocate, free);
    for (size_t w = 0; w < sizeof writers / sizeof *writers; w++)
        whole_or_an_error(w);
    json_set_alloc_funcs(malloc, free);
    sl_graph_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(nothing_goes_missing, enter, leave)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
