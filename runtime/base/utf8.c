#include "runtime/base/utf8.h"

#include <stdlib.h>
#include <string.h>

/* The shortest form of a code point, without surrogates (RFC 3629). */
static const struct {
    uint8_t first_least, first_most, second_least, second_most, length;
} forms[] = {
    {0x01, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t sl_utf8_length(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const size_t n = forms[i].length;
        if (at[0] < forms[i].first_least || at[0] > forms[i].first_most)
            continue;
        if (n > 1 && (at[1] < forms[i].second_least || at[1] > forms[i].second_most))
            return 0;
        for (size_t k = 2; k < n; k++)
            if ((at[k] & 0xc0) != 0x80)
                return 0;
        return n;
    }
    return 0;
}

bool sl_utf8_valid(const char *text)
{
    for (size_t n; *text; text += n)
        if ((n = sl_utf8_length(text)) == 0)
            return false;
    return true;
}

char *sl_utf8_name(const char *name)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = malloc(3 * strlen(name) + 1), *to = text;
    if (!text) {
        sl_fail(SL_SYSTEM, "out of memory for the name %s", name);
        return NULL;
    }
    while (*name) {
        const size_t n = sl_utf8_length(name);
        if (n == 0) {
            const uint8_t byte = (uint8_t)*name++;
            *to++ = '%';
            *to++ = digits[byte >> 4];
            *to++ = digits[byte & 15];
            continue;
        }
        memcpy(to, name, n);
        to += n;
        name += n;
    }
    *to = '\0';
    return text;
}
