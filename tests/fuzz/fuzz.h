/* What the fuzz targets share. A target hands one input to a parser: the input is refused with a message, or what comes
 * out holds together; anything else ends the program. `./dev fuzz SECONDS` searches for inputs with clang's libFuzzer;
 * replay.c runs the kept ones, corpus/NAME, with any compiler. */
#ifndef SL_TESTS_FUZZ_FUZZ_H
#define SL_TESTS_FUZZ_FUZZ_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file_io.h"

/* libFuzzer's name for a target. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define FUZZ_MUST(condition)                                                                              \
    do {                                                                                                  \
        if (!(condition)) {                                                                               \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, sl_last_error()); \
            abort();                                                                                      \
        }                                                                                                 \
    } while (0)

/* The program's own folder, in memory where there is such a place; removed at the end. */
static char fuzz_folder[64];

static inline int fuzz_remove(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info, (void)type, (void)at;
    return remove(path);
}

static inline void fuzz_leave(void)
{
    nftw(fuzz_folder, fuzz_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void fuzz_enter(void)
{
    if (fuzz_folder[0])
        return;
    strcpy(fuzz_folder, access("/dev/shm", W_OK) ? "/tmp/starling-fuzz-XXXXXX" : "/dev/shm/starling-fuzz-XXXXXX");
    FUZZ_MUST(mkdtemp(fuzz_folder) != NULL);
    atexit(fuzz_leave);
}

/* A path in that folder; the text lives until the next call. */
static inline const char *fuzz_path(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    return path;
}

/* Writes a file there, and makes the folders above it. */
static inline void fuzz_put(const char *name, const void *bytes, size_t length)
{
    fuzz_enter();
    char *path = strdup(fuzz_path(name));
    for (char *slash = path + strlen(fuzz_folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        FUZZ_MUST(mkdir(path, 0777) == 0 || access(path, X_OK) == 0);
    }
    FILE *file = fopen(path, "wb");
    FUZZ_MUST(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
    free(path);
}

/* A copy of the input with `room` bytes more, to be freed. */
static inline char *fuzz_copy(const uint8_t *bytes, size_t length, size_t room)
{
    char *copy = malloc(length + room + 1);
    FUZZ_MUST(copy != NULL);
    if (length)
        memcpy(copy, bytes, length);
    return copy;
}

/* Reads every byte, so that a sanitizer sees where they lie. */
static inline void fuzz_touch(const void *bytes, size_t length)
{
    const volatile unsigned char *at = bytes;
    for (size_t i = 0; i < length; i++)
        (void)at[i];
}
#endif
