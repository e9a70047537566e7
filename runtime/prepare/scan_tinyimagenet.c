#include "runtime/prepare/scan_tinyimagenet.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"
#include "runtime/prepare/folder_names.h"
#include "runtime/prepare/scan_classes.h"
#include "runtime/prepare/text_list.h"

static int read_wnids(struct sl_scan *scan)
{
    int rc = SL_OK;
    char *line;
    struct sl_text_list list;
    SL_TRY(sl_text_list_open(scan->options->folder, "wnids.txt", &list));
    while ((line = sl_text_list_next(&list))) {
        if (strchr(line, '/') || *line == '.')
            SL_FAIL(SL_BAD_DATA, "%s: line %zu: %.80s is no class", list.path, list.number, line);
        SL_TRY(sl_scan_add_class(scan, line));
    }
    if (scan->class_count == 0)
        SL_FAIL(SL_BAD_DATA, "%s: names no class", list.path);
    SL_TRY(sl_scan_sort_classes(scan, list.path));
out:
    sl_text_list_close(&list);
    return rc;
}

/* ID <tab> WORDS */
static int take_words(struct sl_scan *scan, const struct sl_text_list *list, char *line)
{
    int rc = SL_OK;
    int32_t label = -1;
    char *tab = strchr(line, '\t');
    if (!tab)
        goto out;
    *tab = '\0';
    SL_TRY(sl_scan_label(scan, line, &label));
    if (label < 0 || !tab[1])
        goto out;
    if (!sl_utf8_valid(tab + 1))
        SL_FAIL(SL_BAD_DATA, "%s: line %zu (%s) is not UTF-8; if it is Latin-1: iconv -f LATIN1 -t UTF-8", list->path,
                list->number, line);
    free(scan->classes[label].words);
    if (!(scan->classes[label].words = strdup(tab + 1)))
        SL_FAIL(SL_SYSTEM, "out of memory for the words");
out:
    return rc;
}

/* words.txt knows far more ids than the set has. Without it a class is called by its id. */
static int read_words(struct sl_scan *scan)
{
    int rc = SL_OK;
    bool exists = false;
    char *line;
    struct sl_text_list list = {0};
    SL_TRY(sl_exists_in(scan->options->folder, "words.txt", &exists));
    if (!exists)
        goto out;
    SL_TRY(sl_text_list_open(scan->options->folder, "words.txt", &list));
    while ((line = sl_text_list_next(&list)))
        SL_TRY(take_words(scan, &list, line));
out:
    sl_text_list_close(&list);
    return rc;
}

int sl_tinyimagenet_classes(struct sl_scan *scan)
{
    int rc = SL_OK;
    SL_TRY(read_wnids(scan));
    SL_TRY(read_words(scan));
out:
    return rc;
}
