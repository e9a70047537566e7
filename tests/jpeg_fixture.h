/* JPEGs that no encoder makes: of any size at little cost, with an EXIF block. */
#ifndef SL_TESTS_JPEG_FIXTURE_H
#define SL_TESTS_JPEG_FIXTURE_H

#include "tests/data_fixture.h"

struct jpeg_bytes {
    uint8_t *at;
    size_t length, room;
    uint32_t bits; /* of the scan, not yet written */
    int bit_count;
};

static inline void put_byte(struct jpeg_bytes *jpeg, int byte)
{
    if (jpeg->length == jpeg->room)
        jpeg->at = realloc(jpeg->at, jpeg->room = jpeg->room * 2 + 1024);
    jpeg->at[jpeg->length++] = (uint8_t)byte;
}

static inline void put_bytes(struct jpeg_bytes *jpeg, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_byte(jpeg, ((const uint8_t *)bytes)[i]);
}

static inline void put_bits(struct jpeg_bytes *jpeg, uint32_t value, int count)
{
    jpeg->bits = jpeg->bits << count | value;
    jpeg->bit_count += count;
    while (jpeg->bit_count >= 8) {
        const int byte = jpeg->bits >> (jpeg->bit_count - 8) & 0xff;
        put_byte(jpeg, byte);
        if (byte == 0xff)
            put_byte(jpeg, 0);
        jpeg->bit_count -= 8;
    }
}

static inline void end_bits(struct jpeg_bytes *jpeg)
{
    put_bits(jpeg, 0x7f, 7);
    jpeg->bit_count = 0;
}

/* Up to the frame: tables in which a DC difference of category c has the code c in 4 bits, a block ends with the bit 0,
 * and one unit of DC is one level of grey. */
static inline void begin_jpeg(struct jpeg_bytes *jpeg, int32_t width, int32_t height, int components)
{
    put_bytes(jpeg, "\xff\xd8\xff\xdb\x00\x43\x00", 7);
    for (int i = 0; i < 64; i++)
        put_byte(jpeg, 8);
    put_bytes(jpeg, "\xff\xc4\x00\x1e\x00\x00\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 21);
    for (int i = 0; i < 11; i++)
        put_byte(jpeg, i);
    put_bytes(jpeg, "\xff\xc4\x00\x14\x10\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 22);
    const uint8_t frame[] = {0xff,
                             0xc0,
                             0,
                             (uint8_t)(8 + 3 * components),
                             8,
                             (uint8_t)(height >> 8),
                             (uint8_t)height,
                             (uint8_t)(width >> 8),
                             (uint8_t)width,
                             (uint8_t)components};
    put_bytes(jpeg, frame, sizeof frame);
    for (int i = 1; i <= components; i++)
        put_bytes(jpeg, (const uint8_t[]){(uint8_t)i, 0x11, 0}, 3);
}

/* A scan of one component follows, then end_bits(). */
static inline void begin_scan(struct jpeg_bytes *jpeg, int component)
{
    put_bytes(jpeg, (const uint8_t[]){0xff, 0xda, 0, 8, 1, (uint8_t)component, 0, 0, 63, 0}, 10);
}

static inline void put_difference(struct jpeg_bytes *jpeg, int difference)
{
    int category = 0;
    while (abs(difference) >> category)
        category++;
    put_bits(jpeg, (uint32_t)category, 4);
    put_bits(jpeg, (uint32_t)(difference < 0 ? difference + (1 << category) - 1 : difference), category);
    put_bits(jpeg, 0, 1);
}

/* A grey picture of any size: 28 in the upper left corner, brighter by `across` to the right and by `down` to the
 * bottom. The caller frees it. */
static inline uint8_t *make_slope(int32_t width, int32_t height, int across, int down, size_t *length)
{
    struct jpeg_bytes jpeg = {0};
    const int columns = (width + 7) / 8, rows = (height + 7) / 8;
    int last = 0;
    begin_jpeg(&jpeg, width, height, 1);
    begin_scan(&jpeg, 1);
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            const int level = -100 + (2 * x + 1) * across / (2 * columns) + (2 * y + 1) * down / (2 * rows);
            put_difference(&jpeg, level - last);
            last = level;
        }
    end_bits(&jpeg);
    put_bytes(&jpeg, "\xff\xd9", 2);
    *length = jpeg.length;
    return jpeg.at;
}

/* A copy of a JPEG with an EXIF block of one entry, the orientation. The caller frees it. */
static inline uint8_t *with_orientation(const uint8_t *bytes, size_t n, int orientation, bool big_endian,
                                        size_t *length)
{
    static const char big[] = "\xff\xd8\xff\xe1\x00\x22"
                              "Exif\0\0"
                              "MM\0*\0\0\0\x08"
                              "\0\1"
                              "\x01\x12\0\3\0\0\0\1";
    static const char little[] = "\xff\xd8\xff\xe1\x00\x22"
                                 "Exif\0\0"
                                 "II*\0\x08\0\0\0"
                                 "\1\0"
                                 "\x12\x01\3\0\1\0\0\0";
    struct jpeg_bytes jpeg = {0};
    put_bytes(&jpeg, big_endian ? big : little, sizeof big - 1);
    put_byte(&jpeg, big_endian ? 0 : orientation);
    put_byte(&jpeg, big_endian ? orientation : 0);
    put_bytes(&jpeg, "\0\0\0\0\0\0", 6);
    put_bytes(&jpeg, bytes + 2, n - 2);
    *length = jpeg.length;
    return jpeg.at;
}

/* A file of a folder of the sources; the caller frees it. */
static inline uint8_t *read_case(const char *folder, const char *name, size_t *length)
{
    char path[PATH_ROOM];
    uint8_t *bytes;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_ok(sl_io_read(path, 1 << 20, &bytes, length));
    return bytes;
}
#endif
