/* A list of paths, as --list takes it -> predict_list_next, by lines and by zero bytes. */
#include "apps/predict_list.h"
#include "tests/fuzz/fuzz.h"

/* A file never lets its reader wait. */
static int idle(void *self)
{
    (void)self;
    abort();
}

static void judge(bool zeros, size_t length)
{
    struct predict_list *list;
    const char *path;
    size_t paths = 0, bytes = 0;
    FUZZ_MUST(predict_list_open(fuzz_path("list"), zeros, &list) == SL_OK);
    while (predict_list_next(list, idle, NULL, &path) == SL_OK && path) {
        FUZZ_MUST(*path && (zeros || !strchr(path, '\n')));
        paths++;
        bytes += strlen(path);
    }
    FUZZ_MUST(paths + bytes <= length + 1);
    predict_list_close(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    fuzz_put("list", bytes, length);
    judge(false, length);
    judge(true, length);
    return 0;
}
