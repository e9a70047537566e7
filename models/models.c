#include "models/models.h"

#include <string.h>

#include "runtime/graph/graph_json.h"

#define SL_MODEL(name, text) {#name, sl_model_##name},
static const struct {
    const char *name;
    sl_model_build_fn *build;
} models[] = {
#include "models/models.def"
};
#undef SL_MODEL

#define SL_MODEL(name, text) #name ": " text "\n"
/* "darknet: ...", a line for each. */
static const char *list(void)
{
    return
#include "models/models.def"
        ;
}
#undef SL_MODEL

static int from_file(const char *path, const struct sl_model_options *options, struct sl_graph **graph)
{
    int rc = SL_OK;
    struct sl_graph *g = NULL;
    SL_TRY(sl_graph_from_file(path, &g));
    const struct sl_tensor *in = &g->layers[0].shape;
    if (in->h != options->image_size || in->w != options->image_size || in->c != 3)
        SL_FAIL(SL_BAD_CONFIG, "%s: its input is %d x %d x %d, the data set's images are %d x %d x 3", path, in->h,
                in->w, in->c, options->image_size, options->image_size);
    if (sl_graph_classes(g) != options->classes)
        SL_FAIL(SL_BAD_CONFIG, "%s: it has %d classes, the data set %d", path, sl_graph_classes(g), options->classes);
    *graph = g;
    g = NULL;
out:
    sl_graph_free(g);
    return rc;
}

int sl_model_build(const char *name, const struct sl_model_options *options, struct sl_graph **graph)
{
    const size_t length = strlen(name);
    if (length > 5 && !strcmp(name + length - 5, ".json"))
        return from_file(name, options, graph);
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        if (strcmp(models[i].name, name))
            continue;
        int rc = sl_graph_new(name, graph);
        if (rc == SL_OK && (rc = models[i].build(*graph, options)) != SL_OK) {
            sl_graph_free(*graph);
            *graph = NULL;
        }
        return rc;
    }
    return sl_fail(SL_USAGE, "there is no model \"%s\"; give a .json file or one of\n%s", name, list());
}
