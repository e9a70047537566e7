/* See random.h. */
#ifndef SL_RUNTIME_BASE_DRAW_H
#define SL_RUNTIME_BASE_DRAW_H

#include "runtime/base/random.h"

#endif
