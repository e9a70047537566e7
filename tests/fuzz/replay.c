/* Runs a target over the files of folders: replay FOLDER... */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"

enum { MOST_BYTES = 1 << 20 };

/* The input lies in memory of just its size, so that a sanitizer sees a step past its end. */
static void run_file(const char *path)
{
    uint8_t *bytes, *exact;
    size_t length;
    FUZZ_MUST(sl_io_read(path, MOST_BYTES, &bytes, &length) == SL_OK);
    FUZZ_MUST((exact = malloc(length ? length : 1)) != NULL);
    memcpy(exact, bytes, length);
    free(bytes);
    fprintf(stderr, "%s: %zu bytes\n", path, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
}

static int run_folder(const char *folder)
{
    struct dirent **names;
    const int count = scandir(folder, &names, NULL, alphasort);
    FUZZ_MUST(count >= 0);
    for (int i = 0; i < count; i++) {
        char *path = sl_io_path(folder, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            run_file(path);
        free(path);
        free(names[i]);
    }
    free(names);
    return count - 2; /* "." and ".." */
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += run_folder(argv[i]);
    fprintf(stderr, "%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
