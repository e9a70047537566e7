#include "runtime/report/run_config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"
#include "runtime/base/json.h"
#include "runtime/base/replace.h"

static json_t *text_or_null(const char *text)
{
    return text && sl_utf8_valid(text) ? json_string(text) : json_null();
}

static json_t *to_json(const struct sl_setting *setting)
{
    switch (setting->kind) {
    case SL_SETTING_TEXT:
        return text_or_null(*(const char *const *)setting->value);
    case SL_SETTING_INT:
        return json_integer((json_int_t) * (const int64_t *)setting->value);
    case SL_SETTING_REAL:
        return json_real(*(const double *)setting->value);
    case SL_SETTING_BOOL:
        return json_boolean(*(const bool *)setting->value);
    }
    return NULL;
}

int sl_run_config_write(const char *path, const struct sl_setting *settings, size_t count)
{
    int rc = SL_OK;
    char *text = NULL;
    json_t *root = json_object();
    for (size_t i = 0; i < count; i++)
        sl_json_set(&root, settings[i].name, to_json(&settings[i]));
    if (!(text = sl_json_dump(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17))))
        SL_FAIL(SL_SYSTEM, "%s: out of memory", path);
    SL_TRY(sl_replace(path, text, strlen(text)));
out:
    free(text);
    json_decref(root);
    return rc;
}
