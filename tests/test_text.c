/* Names of strangers in tables, columns and JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runtime/report/text.h"
#include "runtime/base/utf8.h"

static void column_of_8(FILE *to, const char *text)
{
    sl_text_print_column(to, text, 8);
}

static void assert_prints(void (*print)(FILE *, const char *), const char *text, const char *wanted)
{
    char *made = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&made, &n);
    print(to, text);
    fclose(to);
    assert_string_equal(made, wanted);
    free(made);
}

static void utf8_is_told_apart(void **state)
{
    (void)state;
    const char *const sound[] = {"",
                                 "plain",
                                 "\xc2\x80",
                                 "\xdf\xbf",
                                 "\xe0\xa0\x80",
                                 "\xed\x9f\xbf",
                                 "\xef\xbf\xbf",
                                 "\xf0\x90\x80\x80",
                                 "\xf4\x8f\xbf\xbf"};
    /* A continuation alone, two over-long forms, a surrogate, beyond U+10FFFF, no lead byte, cut short twice. */
    const char *const broken[] = {"\x80", "\xc1\xbf",  "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                  "\xff", "a\xe2\x82", "\xc3"};
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        assert_true(sl_utf8_valid(sound[i]));
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(sl_utf8_valid(broken[i]));
    assert_int_equal(sl_utf8_length(""), 0);
    assert_int_equal(sl_utf8_length("\xe2\x82\xac."), 3);
}

static void fields_are_escaped(void **state)
{
    (void)state;
    assert_prints(sl_text_print, "caf\xc3\xa9/\xf0\x9f\x90\xa6.jpg", "caf\xc3\xa9/\xf0\x9f\x90\xa6.jpg");
    assert_prints(sl_text_print, "a\tb\nc\rd\\e", "a\\tb\\nc\\rd\\\\e");
    /* Escape, delete, the one-character CSI U+009B, a Latin-1 byte, half a character. */
    assert_prints(sl_text_print, "\x1b[2J\x7f\xc2\x9b\xe9.\xe2\x82", "\\x1b[2J\\x7f\\xc2\\x9b\\xe9.\\xe2\\x82");
}

static void messages_keep_their_lines(void **state)
{
    (void)state;
    assert_prints(sl_text_print_message, "C:\\a.jpg:\n\tnot\x1b[31m", "C:\\a.jpg:\n\\tnot\\x1b[31m");
}

static void columns_keep_their_width(void **state)
{
    (void)state;
    assert_prints(column_of_8, "caf\xc3\xa9", "caf\xc3\xa9    ");
    assert_prints(column_of_8, "a\tb\x1b\xc2\x9b\xe9z", "a?b???z ");
    assert_prints(column_of_8, "much too long", "much too");
}

static void json_strings_are_utf8(void **state)
{
    (void)state;
    assert_prints(sl_text_print_json, "say \"\xc3\xa9\"\\", "\"say \\\"\xc3\xa9\\\"\\\\\"");
    assert_prints(sl_text_print_json, "\t\x1b\x7f\xc2\x9b\xc2\xa0", "\"\\u0009\\u001b\\u007f\\u009b\xc2\xa0\"");
    assert_prints(sl_text_print_json, "a\xe9.jpg", "\"a\xef\xbf\xbd.jpg\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_is_told_apart),        cmocka_unit_test(fields_are_escaped),
        cmocka_unit_test(messages_keep_their_lines), cmocka_unit_test(columns_keep_their_width),
        cmocka_unit_test(json_strings_are_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
