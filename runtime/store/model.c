#include "runtime/store/model.h"

#include <stdlib.h>
#include <string.h>

void sl_model_close(struct sl_model *model)
{
    for (size_t i = 0; i < model->class_count; i++) {
        free(model->classes[i].id);
        free(model->classes[i].words);
    }
    free(model->classes);
    sl_graph_free(model->graph);
    *model = (struct sl_model){0};
}

int sl_model_take_dataset(struct sl_model *model, const struct sl_dataset *dataset)
{
    model->classes = calloc(dataset->class_count, sizeof *model->classes);
    if (!model->classes)
        return sl_fail(SL_SYSTEM, "out of memory for %zu classes", dataset->class_count);
    model->class_count = dataset->class_count;
    for (size_t i = 0; i < dataset->class_count; i++) {
        model->classes[i] = (struct sl_class){strdup(dataset->classes[i].id), strdup(dataset->classes[i].words)};
        if (!model->classes[i].id || !model->classes[i].words)
            return sl_fail(SL_SYSTEM, "out of memory for %zu classes", dataset->class_count);
    }
    const struct sl_pixels own = model->pixels;
    model->pixels = dataset->pixels;
    model->pixels.range = own.range;
    model->pixels.fast_decode = own.fast_decode;
    return SL_OK;
}

int sl_model_pixels(const struct sl_model *model, struct sl_pixels *pixels)
{
    const struct sl_tensor *in = &model->graph->layers[0].shape;
    if (in->h != in->w || in->c != 3 || in->h > SL_DATASET_MAX_IMAGE_SIZE)
        return sl_fail(SL_BAD_CONFIG,
                       "the model's input is %d x %d x %d; images are loaded as squares of three channels, of at most "
                       "%d pixels a side",
                       in->h, in->w, in->c, SL_DATASET_MAX_IMAGE_SIZE);
    *pixels = model->pixels;
    pixels->size = in->h;
    return SL_OK;
}
