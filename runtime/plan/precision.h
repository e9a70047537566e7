/* The precision of activations by its name, on command lines, in files and in messages. */
#ifndef SL_RUNTIME_PLAN_PRECISION_H
#define SL_RUNTIME_PLAN_PRECISION_H

#include <string.h>

#include "kernels/base.h"

#define SL_PRECISION_CHOICES "fp32|bf16"

static inline const char *sl_precision_name(enum sl_element precision)
{
    return precision == SL_ELEMENT_BF16 ? "bf16" : "fp32";
}

/* Of one of the choices. */
static inline enum sl_element sl_precision_find(const char *name)
{
    return strcmp(name, sl_precision_name(SL_ELEMENT_BF16)) ? SL_ELEMENT_F32 : SL_ELEMENT_BF16;
}
#endif
