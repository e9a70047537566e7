#include "runtime/graph/option_table.h"

#include <math.h>
#include <string.h>

static int complete_int(const struct sl_option *option, int32_t *value)
{
    if (*value == 0)
        *value = (int32_t)option->preset;
    if (*value < option->minimum || *value > option->maximum)
        return sl_fail(SL_BAD_CONFIG, "%s is %d; it must be %g to %g", option->name, *value, option->minimum,
                       option->maximum);
    return SL_OK;
}

static int complete_real(const struct sl_option *option, double *value)
{
    if (*value == 0.0)
        *value = option->preset;
    if (!isfinite(*value) || *value < option->minimum || *value > option->maximum)
        return sl_fail(SL_BAD_CONFIG, "%s is %g; it must be %g to %g", option->name, *value, option->minimum,
                       option->maximum);
    return SL_OK;
}

static int check_padding(const struct sl_option *option, const struct sl_padding *padding)
{
    const int32_t sides[4] = {padding->top, padding->left, padding->bottom, padding->right};
    for (int i = 0; i < 4; i++)
        if (sides[i] < 0 || sides[i] > option->maximum)
            return sl_fail(SL_BAD_CONFIG, "%s is %d on one side; it must be 0 to %g", option->name, sides[i],
                           option->maximum);
    return SL_OK;
}

int sl_options_complete(const struct sl_layer_type *type, void *options)
{
    int rc = SL_OK;
    for (size_t i = 0; i < type->option_count; i++) {
        const struct sl_option *option = &type->options[i];
        void *at = (char *)options + option->offset;
        switch (option->kind) {
        case SL_OPTION_INT:
            SL_TRY(complete_int(option, at));
            break;
        case SL_OPTION_PAIR:
            SL_TRY(complete_int(option, at));
            SL_TRY(complete_int(option, (int32_t *)at + 1));
            break;
        case SL_OPTION_REAL:
            SL_TRY(complete_real(option, at));
            break;
        case SL_OPTION_PADDING:
            SL_TRY(check_padding(option, at));
            break;
        case SL_OPTION_BOOL:
            break;
        }
    }
out:
    return rc;
}

const struct sl_option *sl_option_find(const struct sl_layer_type *type, const char *name)
{
    for (size_t i = 0; i < type->option_count; i++)
        if (!strcmp(type->options[i].name, name))
            return &type->options[i];
    return NULL;
}
