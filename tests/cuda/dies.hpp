/* Kernels that have to end their process with a message, for tests of the emulated block. Comes after cmocka.h. */
#ifndef SL_TESTS_CUDA_DIES_HPP
#define SL_TESTS_CUDA_DIES_HPP

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cuda/cuda.cuh"

static const struct sl_work nowhere = {};

/* Runs a kernel in a process of its own, which has to end with these words. */
static void assert_dies(void (*kernel)(float *), const char *words, dim3 grid = dim3(1),
                        size_t shared_bytes = 64 * sizeof(float), unsigned threads = 64)
{
    int out[2];
    char said[1024] = "";
    assert_int_equal(pipe(out), 0);
    const pid_t child = fork();
    if (child == 0) {
        alignas(16) static float y[64];
        dup2(out[1], STDERR_FILENO);
        sl_emulated_set_order(0);
        sl_cuda_launch(kernel, grid, dim3(threads), shared_bytes, &nowhere, &y[0]);
        _exit(0);
    }
    close(out[1]);
    for (size_t n = 0; n < sizeof said - 1;) {
        const ssize_t more = read(out[0], said + n, sizeof said - 1 - n);
        if (more <= 0)
            break;
        n += size_t(more);
    }
    close(out[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 3 || !strstr(said, words))
        fail_msg("wanted \"%s\", got status %d and: %s", words, status, said);
}
#endif
