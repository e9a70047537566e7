#include "runtime/text.h"

#include <string.h>

size_t sl_text_character(const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    const unsigned char lead = at[0], next = lead ? at[1] : 0;
    const size_t n = lead >= 0xf5   ? 0
                     : lead >= 0xf0 ? 4
                     : lead >= 0xe0 ? 3
                     : lead >= 0xc2 ? 2
                     : lead >= 0x80 ? 0
                                    : lead > 0;
    /* No longer form of a short one, no surrogate, nothing beyond U+10FFFF. */
    if ((lead == 0xe0 && next < 0xa0) || (lead == 0xed && next > 0x9f) || (lead == 0xf0 && next < 0x90) ||
        (lead == 0xf4 && next > 0x8f))
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool sl_text_is_utf8(const char *text)
{
    while (*text) {
        const size_t n = sl_text_character(text);
        if (!n)
            return false;
        text += n;
    }
    return true;
}

/* U+0000 to U+001F, U+007F to U+009F, of `n` bytes. */
static bool is_control(const char *text, size_t n)
{
    const unsigned char first = (unsigned char)text[0];
    return (n == 1 && (first < 0x20 || first == 0x7f)) || (n == 2 && first == 0xc2 && (unsigned char)text[1] < 0xa0);
}

/* Escapes all but the characters in `kept`. */
static void print_escaped(FILE *to, const char *text, const char *kept)
{
    static const char plain[] = "\t\n\r\\", letters[] = "tnr\\";
    for (size_t n; *text; text += n) {
        const char *found = strchr(plain, *text);
        const size_t whole = sl_text_character(text);
        n = whole ? whole : 1;
        if (strchr(kept, *text))
            fputc(*text, to);
        else if (found)
            fprintf(to, "\\%c", letters[found - plain]);
        else if (whole && !is_control(text, n))
            fwrite(text, 1, n, to);
        else
            for (size_t i = 0; i < n; i++)
                fprintf(to, "\\x%02x", (unsigned)(unsigned char)text[i]);
    }
}

void sl_text_print(FILE *to, const char *text)
{
    print_escaped(to, text, "");
}

void sl_text_print_message(FILE *to, const char *text)
{
    print_escaped(to, text, "\n\\");
}

void sl_text_print_column(FILE *to, const char *text, size_t width)
{
    size_t columns = 0;
    for (size_t n; *text && columns < width; text += n, columns++) {
        const size_t whole = sl_text_character(text);
        n = whole ? whole : 1;
        if (whole && !is_control(text, n))
            fwrite(text, 1, n, to);
        else
            fputc('?', to);
    }
    for (; columns < width; columns++)
        fputc(' ', to);
}

void sl_text_print_json(FILE *to, const char *text)
{
    fputc('"', to);
    for (size_t n; *text; text += n) {
        const size_t whole = sl_text_character(text);
        n = whole ? whole : 1;
        if (!whole)
            fputs("\xef\xbf\xbd", to);
        else if (is_control(text, n)) /* the code point is the last byte */
            fprintf(to, "\\u%04x", (unsigned)(unsigned char)text[n - 1]);
        else if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else
            fwrite(text, 1, n, to);
    }
    fputc('"', to);
}
