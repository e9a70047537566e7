#include "runtime/store/foreign.h"

#include <string.h>

#include "runtime/data/jpeg_sniff.h"

static const struct {
    size_t at;
    const char *magic;
    size_t length;
    const char *text;
} kinds[] = {
    {0, "PK\3\4", 4, "a ZIP archive (PyTorch's .pt, Keras's .keras, DL4J's .zip?)"},
    {0, "\x89HDF\r\n\x1a\n", 8, "an HDF5 file (Keras's .h5?)"},
    {0, "GGUF", 4, "a GGUF file"},
    {0, "\x93NUMPY", 6, "a NumPy array"},
    {4, "TFL3", 4, "a TensorFlow Lite model"},
    {0, "version https://git-lfs", 23, "a pointer of Git LFS: the file itself was not fetched (git lfs pull)"},
    {0, "\xff\xd8\xff", 3, "a JPEG image"},
    {257, "ustar", 5, "a tar archive"},
};

/* A pickle begins with its protocol, 2 or later. */
static bool is_pickle(const uint8_t *bytes, size_t length)
{
    return length >= 3 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5 && strchr("c}](\x8a\x95", bytes[2]);
}

/* An ONNX file has no magic; it begins with its version, a small integer as field 1, and its producer as field 2. */
static bool is_onnx(const uint8_t *bytes, size_t length)
{
    return length >= 4 && bytes[0] == 0x08 && bytes[1] >= 1 && bytes[1] < 0x20 && bytes[2] == 0x12;
}

const char *sl_foreign_model(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (length >= kinds[i].at + kinds[i].length && !memcmp(bytes + kinds[i].at, kinds[i].magic, kinds[i].length))
            return kinds[i].text;
    if (is_pickle(bytes, length))
        return "a Python pickle (PyTorch's old .pt?)";
    if (is_onnx(bytes, length))
        return "an ONNX model";
    const char *other = sl_jpeg_sniff(bytes, length);
    return other && strcmp(other, "no known image format") ? other : NULL;
}
