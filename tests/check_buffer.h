/* What check.c does with the buffers of a case. */
#ifndef SL_TESTS_CHECK_BUFFER_H
#define SL_TESTS_CHECK_BUFFER_H

#include "tests/check.h"

/* Fails if a byte around a buffer has changed. */
void check_margins(const struct check_case *c);

/* Unmaps all buffers. */
void check_release(struct check_case *c);
#endif
