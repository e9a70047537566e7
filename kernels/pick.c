/* The table, and the choice of a row. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"

#define SL_KERNEL(op, how, needs) {SL_OP_##op, #how, "sl_" #op "_" #how, (needs), &sl_##op##_##how},
const struct sl_kernel_row sl_kernel_rows[] = {
#include "kernels/kernels.def"
};
#undef SL_KERNEL
const size_t sl_kernel_row_count = sizeof sl_kernel_rows / sizeof *sl_kernel_rows;

const char *sl_op_name(enum sl_op op)
{
    static const char *const names[] = {
#define X(op) #op,
        SL_OP_MAP(X)
#undef X
    };
    return (unsigned)op < SL_OP_COUNT ? names[op] : NULL;
}

/* Does SL_KERNEL=op:name[,op:name] name this row? */
static bool forced(const struct sl_kernel_row *row)
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
    char choices[640];
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

static void say_once(const struct sl_kernel_row *row)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool said[256];
    const size_t index = (size_t)(row - sl_kernel_rows);
    const char *verbose = getenv("SL_VERBOSE");
    if (!verbose || !strcmp(verbose, "0") || index >= sizeof said)
        return;
    pthread_mutex_lock(&lock);
    if (!said[index])
        fprintf(stderr, "kernel %s: %s\n", sl_op_name(row->op), row->name);
    said[index] = true;
    pthread_mutex_unlock(&lock);
}

const struct sl_kernel_row *sl_pick(enum sl_op op, const void *shape, uint32_t isa)
{
    const struct sl_kernel_row *best = NULL;
    for (size_t i = 0; i < sl_kernel_row_count; i++) {
        const struct sl_kernel_row *row = &sl_kernel_rows[i];
        if (row->op != op || (row->needs & ~isa) || (row->kernel->fits && !row->kernel->fits(shape)))
            continue;
        if (forced(row)) {
            best = row;
            break;
        }
        if (!best)
            best = row;
    }
    if (best)
        say_once(best);
    return best;
}
