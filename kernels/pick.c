/* The tables of operations and rows, and what each says of itself. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/activation/activation.h"
#include "kernels/conv/conv.h"
#include "kernels/convert/convert.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/image/image.h"
#include "kernels/kernels.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/softmax/softmax.h"
#include "kernels/step/step.h"
#include "kernels/threshold/threshold.h"

#define SL_KERNEL(op, how, needs) {SL_OP_##op, #how, "sl_" #op "_" #how, (needs), &sl_##op##_##how},
const struct sl_kernel_row sl_kernel_rows[] = {
#include "kernels/kernels.def"
};
#undef SL_KERNEL
const size_t sl_kernel_row_count = sizeof sl_kernel_rows / sizeof *sl_kernel_rows;

/* What the list of operations says of each. */
static const struct {
    const char *name;
    size_t element_at;
} ops[] = {
#define SL_OP(op, shape, args) {#op, offsetof(struct shape, element)},
#include "kernels/ops.def"
#undef SL_OP
};

#define SL_OP(op, shape, args) _Static_assert(sizeof(struct shape) <= SL_SHAPE_BYTES, #shape " is too large");
#include "kernels/ops.def"
#undef SL_OP

const char *sl_op_name(enum sl_op op)
{
    return (unsigned)op < SL_OP_COUNT ? ops[op].name : NULL;
}

size_t sl_op_shape_bytes(enum sl_op op)
{
    return ops[op].element_at + sizeof(enum sl_element);
}

static enum sl_element element_of(enum sl_op op, const void *shape)
{
    enum sl_element element;
    memcpy(&element, (const char *)shape + ops[op].element_at, sizeof element);
    return element;
}

bool sl_row_takes(const struct sl_kernel_row *row, enum sl_op op, const void *shape, uint32_t isa, struct sl_need *need)
{
    const struct sl_kernel *kernel = row->kernel;
    *need = (struct sl_need){0};
    return row->op == op && !(row->needs & ~isa) && kernel->element == element_of(op, shape) &&
           kernel->need(shape, need);
}

bool sl_row_forced(const struct sl_kernel_row *row)
{
    const char *at = getenv("SL_KERNEL");
    char wanted[128];
    const int length = snprintf(wanted, sizeof wanted, "%s:%s", sl_op_name(row->op), row->name);
    while (at && *at) {
        const size_t entry = strcspn(at, ",");
        if (entry == (size_t)length && !strncmp(at, wanted, entry))
            return true;
        at += entry + (at[entry] == ',');
    }
    return false;
}

/* ---- is SL_KERNEL spelt right? ---- */

static bool is_text(const char *text, const char *at, size_t length)
{
    return strlen(text) == length && !strncmp(text, at, length);
}

/* "a, b, c": operations for SL_OP_COUNT, else the rows of one. */
static void list_choices(enum sl_op op, char *text, size_t room)
{
    size_t n = 0;
    const size_t count = op == SL_OP_COUNT ? SL_OP_COUNT : sl_kernel_row_count;
    text[0] = '\0';
    for (size_t i = 0; i < count && n < room; i++)
        if (op == SL_OP_COUNT || sl_kernel_rows[i].op == op)
            n += (size_t)snprintf(text + n, room - n, "%s%s", n ? ", " : "",
                                  op == SL_OP_COUNT ? sl_op_name((enum sl_op)i) : sl_kernel_rows[i].name);
}

/* op:name, `length` bytes of it. */
static int check_entry(const char *entry, size_t length)
{
    char choices[1024];
    int op = 0;
    const char *colon = memchr(entry, ':', length);
    const size_t n = colon ? (size_t)(colon - entry) : length;
    while (op < SL_OP_COUNT && !is_text(sl_op_name((enum sl_op)op), entry, n))
        op++;
    for (size_t i = 0; colon && i < sl_kernel_row_count; i++)
        if ((int)sl_kernel_rows[i].op == op && is_text(sl_kernel_rows[i].name, colon + 1, length - n - 1))
            return SL_OK;
    list_choices((enum sl_op)op, choices, sizeof choices);
    if (op == SL_OP_COUNT)
        return sl_fail(SL_BAD_CONFIG, "SL_KERNEL: there is no operation \"%.*s\"; it must be op:name, op one of %s",
                       (int)n, entry, choices);
    return sl_fail(SL_BAD_CONFIG, "SL_KERNEL: \"%.*s\" names no row; %s has %s", (int)length, entry,
                   sl_op_name((enum sl_op)op), choices);
}

int sl_kernel_check(void)
{
    const char *at = getenv("SL_KERNEL");
    while (at && *at) {
        const size_t entry = strcspn(at, ",");
        const int rc = check_entry(at, entry);
        if (rc != SL_OK)
            return rc;
        at += entry + (at[entry] == ',');
    }
    return SL_OK;
}

void sl_row_say(const struct sl_kernel_row *row, const char *why)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        const struct sl_kernel_row *row;
        char why[SL_WHY_BYTES];
    } said[512];
    static size_t count;
    bool known = false;
    const char *verbose = getenv("SL_VERBOSE");
    if (!verbose || !strcmp(verbose, "0"))
        return;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count && !known; i++)
        known = said[i].row == row && !strncmp(said[i].why, why, SL_WHY_BYTES - 1);
    if (!known && count < sizeof said / sizeof *said) {
        said[count].row = row;
        snprintf(said[count++].why, SL_WHY_BYTES, "%s", why);
        fprintf(stderr, "kernel %s: %s (%s)\n", sl_op_name(row->op), row->name, why);
    }
    pthread_mutex_unlock(&lock);
}
