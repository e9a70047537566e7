/* An image -> sl_jpeg_decode, by a fresh decoder and by decoders that have met other images: one verdict, the same
 * pixels. The same for our Huffman decoder and libjpeg's. */
#include "runtime/data/jpeg.h"
#include "runtime/data/jpeg_read.h"
#include "tests/fuzz/fuzz.h"

enum { SIDE = 32, RGB = SIDE * SIDE * 3, MOST_PIXELS = 1 << 20, EARLIER = 3 };

/* What a decoder may have met before: a sound image, one with Huffman tables of its own, half an image. */
static struct {
    uint8_t *bytes;
    size_t length;
} earlier[EARLIER];

static void read_earlier(void)
{
    static const char *const names[EARLIER] = {"sound.jpg", "own_tables.jpg", "sound.jpg"};
    for (int i = 0; i < EARLIER; i++) {
        char *path = sl_io_path(SL_FUZZ_CORPUS "/jpeg", names[i]);
        FUZZ_MUST(sl_io_read(path, 1 << 16, &earlier[i].bytes, &earlier[i].length) == SL_OK);
        free(path);
    }
    earlier[EARLIER - 1].length /= 2;
}

/* `fill` is what memory held before: it must not show. */
static int decode(int before, const uint8_t *bytes, size_t length, int fill, uint8_t rgb[RGB])
{
    struct sl_jpeg *jpeg;
    FUZZ_MUST(sl_jpeg_open(&jpeg) == SL_OK);
    if (before >= 0)
        sl_jpeg_decode(jpeg, earlier[before].bytes, earlier[before].length, SIDE, true, rgb);
    memset(rgb, fill, RGB);
    const int rc = sl_jpeg_decode(jpeg, bytes, length, SIDE, true, rgb);
    sl_jpeg_close(jpeg);
    return rc;
}

static bool modest(const uint8_t *bytes, size_t length)
{
    struct sl_jpeg *jpeg;
    int32_t width, height;
    FUZZ_MUST(sl_jpeg_open(&jpeg) == SL_OK);
    const bool known = sl_jpeg_size(jpeg, bytes, length, &width, &height) == SL_OK;
    sl_jpeg_close(jpeg);
    return !known || (int64_t)width * height <= MOST_PIXELS;
}

static int read_pixels(bool libjpeg_alone, const uint8_t *bytes, size_t length, uint8_t *pixels, size_t *made)
{
    const struct sl_jpeg_way way = {.eighths = 8, .libjpeg_alone = libjpeg_alone};
    struct sl_jpeg_header header = {0};
    struct sl_jpeg_reader *reader = sl_jpeg_reader_open();
    FUZZ_MUST(reader != NULL);
    int rc = sl_jpeg_read_begin(reader, bytes, length, &header);
    *made = (size_t)header.width * (size_t)header.height * (header.four ? 4 : 3);
    if (rc == SL_OK)
        rc = sl_jpeg_read_pixels(reader, &way, pixels);
    sl_jpeg_read_end(reader);
    sl_jpeg_reader_close(reader);
    return rc;
}

static void compare_with_libjpeg(const uint8_t *bytes, size_t length)
{
    static uint8_t ours[4 * MOST_PIXELS], theirs[4 * MOST_PIXELS];
    size_t made;
    const int rc = read_pixels(false, bytes, length, ours, &made);
    FUZZ_MUST(read_pixels(true, bytes, length, theirs, &made) == rc);
    FUZZ_MUST(rc != SL_OK || !memcmp(ours, theirs, made));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static uint8_t fresh[RGB], used[RGB];
    if (!earlier[0].bytes)
        read_earlier();
    if (!modest(bytes, length))
        return 0;
    const int rc = decode(-1, bytes, length, 0, fresh);
    for (int i = 0; i < EARLIER; i++) {
        FUZZ_MUST(decode(i, bytes, length, 0xff, used) == rc);
        FUZZ_MUST(rc != SL_OK || !memcmp(fresh, used, RGB));
    }
    compare_with_libjpeg(bytes, length);
    return 0;
}
