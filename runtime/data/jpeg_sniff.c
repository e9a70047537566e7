#include "runtime/data/jpeg_sniff.h"

#include <string.h>

/* The first row that fits; ISO media files ("ftyp") tell by their brand. */
static const struct {
    size_t at;
    const char *magic;
    size_t length;
    const char *text;
} formats[] = {
    {0, "\x89PNG", 4, "a PNG image"},
    {0, "GIF8", 4, "a GIF image"},
    {0, "BM", 2, "a BMP image"},
    {0, "II*\0", 4, "a TIFF image"},
    {0, "MM\0*", 4, "a TIFF image"},
    {4, "ftypavi", 7, "an AVIF image"},
    {4, "ftyphei", 7, "a HEIC image"},
    {4, "ftyphev", 7, "a HEIC image"},
    {4, "ftypmif1", 8, "a HEIF image (HEIC or AVIF)"},
    {4, "ftypmsf1", 8, "a HEIF image (HEIC or AVIF)"},
    {4, "ftypcrx ", 8, "a camera's raw image (CR3)"},
    {4, "ftyp", 4, "a video (MP4 or QuickTime)"},
    {8, "WEBP", 4, "a WebP image"},
    {0, "RIFF", 4, "a RIFF file"},
    {0, "\0\0\0\x0cJXL ", 8, "a JPEG XL image"},
    {0, "\xff\x0a", 2, "a JPEG XL image"},
    {0, "\0\0\0\x0cjP  ", 8, "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51", 4, "a JPEG 2000 image"},
    {0, "8BPS", 4, "a Photoshop document"},
    {0, "\0\0\1\0", 4, "an icon"},
    {0, "\0\5\x16\7", 4, "what macOS keeps beside a file (AppleDouble)"},
    {0, "PK\3\4", 4, "a ZIP archive"},
    {0, "\x1f\x8b", 2, "a gzip file"},
    {0, "\x28\xb5\x2f\xfd", 4, "a zstd file"},
    {0, "%PDF", 4, "a PDF document"},
    {0, "<!DOCTYPE html", 14, "a web page"},
    {0, "<!doctype html", 14, "a web page"},
    {0, "<html", 5, "a web page"},
    {0, "<svg", 4, "an SVG image"},
    {0, "version https://git-lfs", 23, "a Git LFS pointer in place of the file"},
};

static const char start[] = "\xff\xd8\xff";

static bool is_text(const uint8_t *bytes, size_t length)
{
    const size_t n = length < 64 ? length : 64;
    for (size_t i = 0; i < n; i++)
        if (bytes[i] == 0x7f || bytes[i] >= 0xf8 || (bytes[i] < 0x20 && !strchr("\t\n\r\f", bytes[i])) || !bytes[i])
            return false;
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
    return bytes[0] == 0 && !memcmp(bytes, bytes + 1, length - 1);
}

const char *sl_jpeg_sniff(const uint8_t *bytes, size_t length)
{
    enum { START = sizeof start - 1, WINDOW = 4096 };
    if (length == 0)
        return "an empty file";
    if (length >= START && !memcmp(bytes, start, START))
        return NULL;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (length >= formats[i].at + formats[i].length &&
            !memcmp(bytes + formats[i].at, formats[i].magic, formats[i].length))
            return formats[i].text;
    if (is_zero(bytes, length))
        return "nothing but zero bytes";
    if (memmem(bytes, length < WINDOW ? length : WINDOW, start, START))
        return "other bytes with a JPEG image behind them";
    return is_text(bytes, length) ? "text" : "no known image format";
}
