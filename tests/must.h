/* Calls that must end well, or with one error. */
#ifndef SL_TESTS_MUST_H
#define SL_TESTS_MUST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/base.h"

#define MUST(call)                                      \
    do {                                                \
        const int status = (call);                      \
        if (status != SL_OK)                            \
            fail_msg("%s: %s", #call, sl_last_error()); \
    } while (0)

/* The call fails with this status, and its detail holds this text. */
#define MUST_FAIL(call, wanted, text)                                          \
    do {                                                                       \
        sl_clear_error();                                                      \
        const int status = (call);                                             \
        if (status != (wanted) || !strstr(sl_last_error(), text))              \
            fail_msg("%s: status %d, \"%s\"", #call, status, sl_last_error()); \
    } while (0)
#endif
