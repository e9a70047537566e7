#include "runtime/data/orientation.h"

#include <assert.h>
#include <string.h>

enum { UPRIGHT = 1, TAG = 0x0112, SHORT = 3, LONG = 4, ENTRY_BYTES = 12 };

/* A TIFF structure, as an EXIF block holds one. */
struct tiff {
    const uint8_t *at;
    size_t length;
    bool big_endian;
};

/* The number of `bytes` bytes at an offset; 0 past the end. */
static uint32_t number(const struct tiff *tiff, size_t offset, size_t bytes)
{
    uint32_t value = 0;
    if (offset > tiff->length || bytes > tiff->length - offset)
        return 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | tiff->at[offset + (tiff->big_endian ? i : bytes - 1 - i)];
    return value;
}

static int32_t orientation_of_tiff(struct tiff tiff)
{
    tiff.big_endian = tiff.length >= 2 && !memcmp(tiff.at, "MM", 2);
    if (!tiff.big_endian && (tiff.length < 2 || memcmp(tiff.at, "II", 2)))
        return UPRIGHT;
    const size_t directory = number(&tiff, 4, 4);
    const uint32_t entries = number(&tiff, directory, 2);
    for (uint32_t i = 0; i < entries; i++) {
        const size_t entry = directory + 2 + (size_t)i * ENTRY_BYTES;
        const uint32_t type = number(&tiff, entry + 2, 2);
        if (number(&tiff, entry, 2) != TAG)
            continue;
        const uint32_t value = type == SHORT || type == LONG ? number(&tiff, entry + 8, type == SHORT ? 2 : 4) : 0;
        return value >= 1 && value <= 8 ? (int32_t)value : UPRIGHT;
    }
    return UPRIGHT;
}

int32_t sl_orientation_of_jpeg(const uint8_t *bytes, size_t length)
{
    static const char exif[6] = "Exif\0";
    enum { TEM = 0x01, RST0 = 0xd0, SOI = 0xd8, EOI = 0xd9, SOS = 0xda, APP1 = 0xe1 };
    for (size_t at = 2; length >= 4 && at <= length - 4;) {
        const int marker = bytes[at + 1];
        if (bytes[at] != 0xff || marker == 0xff) {
            at++; /* fill bytes, and what stands between markers */
            continue;
        }
        if (marker == 0 || marker == TEM || (marker >= RST0 && marker <= SOI)) {
            at += 2;
            continue;
        }
        const size_t segment = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (marker == EOI || marker == SOS || segment < 2 || segment > length - at - 2)
            break;
        if (marker == APP1 && segment >= 2 + sizeof exif && !memcmp(bytes + at + 4, exif, sizeof exif))
            return orientation_of_tiff((struct tiff){bytes + at + 4 + sizeof exif, segment - 2 - sizeof exif, false});
        at += 2 + segment;
    }
    return UPRIGHT;
}

/* ---- turning ---- */

static void swap_pixels(uint8_t *a, uint8_t *b)
{
    for (int c = 0; c < 3; c++) {
        const uint8_t byte = a[c];
        a[c] = b[c];
        b[c] = byte;
    }
}

static void transpose(int32_t size, uint8_t *rgb)
{
    for (int32_t y = 0; y < size; y++)
        for (int32_t x = 0; x < y; x++)
            swap_pixels(rgb + ((size_t)y * (size_t)size + (size_t)x) * 3,
                        rgb + ((size_t)x * (size_t)size + (size_t)y) * 3);
}

static void mirror_columns(int32_t size, uint8_t *rgb)
{
    for (int32_t y = 0; y < size; y++) {
        uint8_t *row = rgb + (size_t)y * (size_t)size * 3;
        for (int32_t x = 0; x < size / 2; x++)
            swap_pixels(row + (size_t)x * 3, row + (size_t)(size - 1 - x) * 3);
    }
}

static void mirror_rows(int32_t size, uint8_t *rgb)
{
    for (int32_t y = 0; y < size / 2; y++)
        for (int32_t x = 0; x < size; x++)
            swap_pixels(rgb + ((size_t)y * (size_t)size + (size_t)x) * 3,
                        rgb + ((size_t)(size - 1 - y) * (size_t)size + (size_t)x) * 3);
}

void sl_orientation_turn(int32_t orientation, int32_t size, uint8_t *rgb)
{
    /* Each turn is some of three steps, in this order. */
    static const struct {
        bool transpose, mirror_columns, mirror_rows;
    } turns[] = {
        [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
        [6] = {true, true, false},  [7] = {true, true, true},  [8] = {true, false, true}};
    assert(1 <= orientation && orientation <= 8);
    if (turns[orientation].transpose)
        transpose(size, rgb);
    if (turns[orientation].mirror_columns)
        mirror_columns(size, rgb);
    if (turns[orientation].mirror_rows)
        mirror_rows(size, rgb);
}
