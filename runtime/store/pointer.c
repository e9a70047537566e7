#include "runtime/store/pointer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/file_io.h"
#include "runtime/base/replace.h"
#include "runtime/store/run_folder.h"

enum { MAX_BYTES = 32 };

bool sl_store_pointer_read(const char *path, uint64_t *step)
{
    uint8_t *bytes = NULL;
    size_t n = 0;
    bool found = false;
    if (sl_io_read(path, MAX_BYTES, &bytes, &n) == SL_OK) {
        char *line = (char *)bytes;
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        found = sl_checkpoint_parse(line, step);
    }
    free(bytes);
    return found;
}

static bool says_so(const char *path, uint64_t step)
{
    struct stat info;
    uint64_t said;
    return lstat(path, &info) == 0 && S_ISREG(info.st_mode) && sl_store_pointer_read(path, &said) && said == step;
}

int sl_store_pointer_write(const char *run, const char *name, uint64_t step)
{
    int rc = SL_OK;
    char text[MAX_BYTES], *path = NULL;
    SL_TRY(sl_io_join(run, name, &path));
    snprintf(text, sizeof text, "ckpt-%" PRIu64 "\n", step);
    if (!says_so(path, step))
        SL_TRY(sl_replace(path, text, strlen(text)));
out:
    free(path);
    return rc;
}
