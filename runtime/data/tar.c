#include "runtime/data/tar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the fields of a block lie. Names are cut where a pax record has them whole. */
enum {
    NAME_BYTES = 100,
    SHORT_NAME = 98,
    PAX_NAME = 97,
    MODE = 100,
    SIZE = 124,
    CHECKSUM = 148,
    TYPE = 156,
    MAGIC = 257,
    DEVICE = 329
};

static void fill_block(uint8_t block[SL_TAR_BLOCK], const char *name, uint64_t size, char type)
{
    char text[32];
    unsigned sum = 0;
    memset(block, 0, SL_TAR_BLOCK);
    memcpy(block, name, strnlen(name, NAME_BYTES));
    memcpy(block + MODE,
           "000644 \0"
           "000000 \0"
           "000000 \0",
           24);
    snprintf(text, sizeof text, "%011" PRIo64 " %011o ", size, 0u);
    memcpy(block + SIZE, text, 24);
    memset(block + CHECKSUM, ' ', 8);
    block[TYPE] = (uint8_t)type;
    memcpy(block + MAGIC,
           "ustar\0"
           "00",
           8);
    memcpy(block + DEVICE,
           "000000 \0"
           "000000 \0",
           16);
    for (size_t i = 0; i < SL_TAR_BLOCK; i++)
        sum += block[i];
    snprintf(text, sizeof text, "%06o", sum);
    memcpy(block + CHECKSUM, text, 7);
}

static bool fits_a_block(const char *name)
{
    size_t n = 0;
    while (name[n] && (uint8_t)name[n] < 0x80)
        n++;
    return !name[n] && n <= NAME_BYTES;
}

/* "LENGTH path=NAME\n", where LENGTH counts its own digits. */
static char *path_record(const char *name, size_t *length)
{
    char *record = NULL;
    const size_t rest = strlen(" path=\n") + strlen(name);
    size_t digits = 1;
    for (size_t power = 10; rest + digits >= power; power *= 10)
        digits++;
    const int n = asprintf(&record, "%zu path=%s\n", rest + digits, name);
    *length = rest + digits;
    return n < 0 ? NULL : record;
}

static int long_header(const char *name, uint64_t size, uint8_t **header, size_t *length)
{
    int rc = SL_OK;
    char short_name[SHORT_NAME + 1], pax_name[PAX_NAME + 1];
    size_t n = 0;
    char *record = path_record(name, &n);
    if (!record)
        SL_FAIL(SL_SYSTEM, "out of memory for the name %s", name);
    snprintf(short_name, sizeof short_name, "%s", name);
    snprintf(pax_name, sizeof pax_name, "PaxHeader/%s", name);
    *length = SL_TAR_BLOCK + n + sl_tar_padding(n) + SL_TAR_BLOCK;
    if (!(*header = calloc(1, *length)))
        SL_FAIL(SL_SYSTEM, "out of memory for the name %s", name);
    fill_block(*header, pax_name, n, 'x');
    memcpy(*header + SL_TAR_BLOCK, record, n);
    fill_block(*header + *length - SL_TAR_BLOCK, short_name, size, '0');
out:
    free(record);
    return rc;
}

int sl_tar_header(const char *name, uint64_t size, uint8_t **header, size_t *length)
{
    *header = NULL;
    if (!fits_a_block(name))
        return long_header(name, size, header, length);
    if (!(*header = malloc(SL_TAR_BLOCK)))
        return sl_fail(SL_SYSTEM, "out of memory for the name %s", name);
    *length = SL_TAR_BLOCK;
    fill_block(*header, name, size, '0');
    return SL_OK;
}
