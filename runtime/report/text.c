#include "runtime/report/text.h"

#include <string.h>

#include "runtime/base/utf8.h"

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
        const size_t whole = sl_utf8_length(text);
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
        const size_t whole = sl_utf8_length(text);
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
        const size_t whole = sl_utf8_length(text);
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
