/* UTF-8 as RFC 3629 has it: no surrogates, no long forms, nothing beyond U+10FFFF. */
#ifndef SL_RUNTIME_UTF8_H
#define SL_RUNTIME_UTF8_H

#include <stdbool.h>

/* Bytes of the character that begins here (1 for the zero at the end); 0 if none does. */
static inline int sl_utf8_length(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const int length = at[0] < 0x80                    ? 1
                       : at[0] >= 0xc2 && at[0] < 0xe0 ? 2
                       : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                       : at[0] >= 0xf0 && at[0] < 0xf5 ? 4
                                                       : 0;
    for (int i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf0 && at[1] < 0x90) ||
        (at[0] == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

/* Is the whole text UTF-8? */
static inline bool sl_utf8_valid(const char *text)
{
    int length = 1;
    while (*text && (length = sl_utf8_length(text)) > 0)
        text += length;
    return length > 0;
}

#endif
