#include "runtime/prepare/text_list.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file_io.h"

enum { MAX_LIST_BYTES = 256 << 20 };

static bool begins(const uint8_t *bytes, size_t length, const char *mark)
{
    return length >= strlen(mark) && !memcmp(bytes, mark, strlen(mark));
}

int sl_text_list_open(const char *folder, const char *name, struct sl_text_list *list)
{
    int rc = SL_OK;
    uint8_t *bytes = NULL;
    size_t length = 0;
    *list = (struct sl_text_list){.path = sl_io_path(folder, name)};
    if (!list->path)
        return SL_SYSTEM;
    SL_TRY(sl_io_read(list->path, MAX_LIST_BYTES, &bytes, &length));
    list->at = list->text = (char *)bytes;
    if (begins(bytes, length, "\xff\xfe") || begins(bytes, length, "\xfe\xff"))
        SL_FAIL(SL_BAD_DATA, "%s: is in UTF-16; save it as UTF-8", list->path);
    if (memchr(bytes, 0, length))
        SL_FAIL(SL_BAD_DATA, "%s: not a text file, or one in UTF-16; save it as UTF-8", list->path);
    if (begins(bytes, length, "\xef\xbb\xbf"))
        list->at += 3;
out:
    return rc;
}

char *sl_text_list_next(struct sl_text_list *list)
{
    while (*list->at) {
        char *line = list->at;
        size_t n = strcspn(line, "\r\n");
        list->at += n;
        if (*list->at)
            list->at += list->at[0] == '\r' && list->at[1] == '\n' ? 2 : 1;
        list->number++;
        while (n > 0 && isspace((unsigned char)line[n - 1]))
            n--;
        line[n] = '\0';
        if (n > 0)
            return line;
    }
    return NULL;
}

void sl_text_list_close(struct sl_text_list *list)
{
    free(list->text);
    free(list->path);
    *list = (struct sl_text_list){0};
}
