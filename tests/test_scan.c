/* Folders as people have them: splits, TinyImageNet's layout and its conversions, lists, stray files, names. */
#include "tests/data_fixture.h"

#include <locale.h>

#include "runtime/prepare/scan.h"
#include "runtime/data/shard.h"
#include "runtime/base/utf8.h"
#include "runtime/prepare/text_list.h"

static char reported[8192];
static struct sl_scan scan;

static void remember(void *self, const char *line)
{
    (void)self;
    strncat(reported, line, sizeof reported - strlen(reported) - 2);
    strcat(reported, "\n");
}

/* What is said ends up in `reported`, the detail of a failure too. */
static int look(const char *name, struct sl_scan_options options)
{
    char folder[PATH_ROOM * 2];
    snprintf(folder, sizeof folder, "%s", at(name));
    options.folder = folder;
    options.report = remember;
    reported[0] = '\0';
    const int rc = sl_scan_open(&options, &scan);
    if (rc != SL_OK)
        remember(NULL, sl_last_error());
    return rc;
}

static int look_plainly(const char *name)
{
    return look(name, (struct sl_scan_options){.val_fraction = -1});
}

#define assert_said(part)                                        \
    do {                                                         \
        if (!strstr(reported, (part)))                           \
            fail_msg("\"%s\" is not in:\n%s", (part), reported); \
    } while (0)

#define assert_silent()                                    \
    do {                                                   \
        if (reported[0])                                   \
            fail_msg("something was said:\n%s", reported); \
    } while (0)

/* The class of a key in a list; NULL: no such key. */
static const char *class_of(const struct sl_image_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->at[i].key, key))
            return scan.classes[list->at[i].label].id;
    return NULL;
}

/* Empty files: a scan opens no image. `paths` ends with NULL. */
static void put_all(const char *folder, const char *const *paths)
{
    char path[PATH_ROOM];
    for (size_t i = 0; paths[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, paths[i]);
        put_text(path, "");
    }
}

#define PUT(folder, ...) put_all(folder, (const char *const[]){__VA_ARGS__, NULL})

static void put_split(const char *folder, const char *split)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", folder, split);
    PUT(path, "cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg");
}

/* ---- splits ---- */

static void splits_have_many_names(void **state)
{
    static const char *const names[][2] = {{"train", "val"},           {"Train", "Val"},       {"TRAIN", "VALID"},
                                           {"training", "validation"}, {"Training", "valid"},  {"train", "Validation"},
                                           {"train", "test"},          {"Training", "Testing"}};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[32];
        snprintf(folder, sizeof folder, "splits%zu", i);
        put_split(folder, names[i][0]);
        put_split(folder, names[i][1]);
        assert_ok(look_plainly(folder));
        assert_int_equal(scan.class_count, 2);
        assert_string_equal(scan.classes[0].id, "cat");
        assert_int_equal(scan.train.count, 4);
        assert_int_equal(scan.val.count, 4);
        if (names[i][1][0] == 't' || names[i][1][0] == 'T')
            assert_said(names[i][1]);
        else
            assert_silent();
        sl_scan_close(&scan);
    }
}

static void what_is_left_out_is_named(void **state)
{
    (void)state;
    put_split("rest", "train");
    put_split("rest", "val");
    put_split("rest", "test");
    PUT("rest", "extra/cat/1.jpg", "README.md", "train/labels.csv", "train/lonely.jpg", "train/cat/Thumbs.db",
        "train/cat/notes.txt", "train/cat/@eaDir/1.jpg");
    assert_ok(look_plainly("rest"));
    assert_int_equal(scan.train.count, 4);
    assert_int_equal(scan.val.count, 4);
    assert_said("rest: README.md, extra/, test/\n");
    assert_said("rest/train: labels.csv, lonely.jpg\n");
    assert_said("left out 3 files that are no images");
    sl_scan_close(&scan);
    PUT("rest", "train/a.csv", "train/b.csv", "train/c.csv");
    assert_ok(look_plainly("rest"));
    assert_said("rest/train: a.csv, b.csv, c.csv, labels.csv and 1 more\n");
    sl_scan_close(&scan);
}

/* A test/ without labels cannot validate, and need not where a fraction was asked for. */
static void a_test_folder_stands_in_only_if_it_can(void **state)
{
    (void)state;
    put_split("kaggle", "train");
    PUT("kaggle", "test/1.jpg", "test/2.jpg");
    assert_ok(look_plainly("kaggle"));
    assert_int_equal(scan.val.count, 2);
    assert_int_equal(scan.train.count, 2);
    assert_said("kaggle/test: it holds no class folders");
    sl_scan_close(&scan);
    put_split("fraction", "train");
    put_split("fraction", "test");
    assert_ok(look("fraction", (struct sl_scan_options){.val_fraction = 0}));
    assert_int_equal(scan.train.count, 4);
    assert_int_equal(scan.val.count, 0);
    assert_said("fraction: test/\n");
    sl_scan_close(&scan);
}

static void wrong_folders_are_refused(void **state)
{
    (void)state;
    put_split("twins", "train");
    put_split("twins", "Training");
    assert_int_equal(look_plainly("twins"), SL_BAD_DATA);
    assert_said("Training/ and train/ are names of one split");
    put_split("valtwins", "train");
    put_split("valtwins", "val");
    put_split("valtwins", "validation");
    assert_int_equal(look_plainly("valtwins"), SL_BAD_DATA);
    assert_said("val/ and validation/");
    put_split("high/set", "train");
    put_split("high/set", "test");
    assert_int_equal(look_plainly("high"), SL_BAD_DATA);
    assert_said("set/ with train/ and test/; name that as the input");
    PUT("high/other", "1.jpg");
    assert_int_equal(look_plainly("high"), SL_BAD_DATA);
    assert_said("set/ with train/ and test/; name that as the input");
    PUT("higher", "set/cat/1.jpg", "set/dog/1.jpg");
    assert_int_equal(look_plainly("higher"), SL_BAD_DATA);
    assert_said("a single class, set");
    assert_said("--allow-one-class");
    assert_ok(look("higher", (struct sl_scan_options){.val_fraction = -1, .one_class = true}));
    assert_int_equal(scan.class_count, 1);
    sl_scan_close(&scan);
    put_split("headless", "val");
    assert_int_equal(look_plainly("headless"), SL_BAD_DATA);
    assert_said("holds val/ but no train/");
    PUT("flat", "train/1.jpg", "test/2.jpg");
    assert_int_equal(look_plainly("flat"), SL_MISSING);
    assert_said("flat/train: no class folders");
    put_split("flatval", "train");
    PUT("flatval", "val/1.jpg", "val/2.jpg");
    assert_int_equal(look_plainly("flatval"), SL_MISSING);
    assert_said("flatval/val: no images in class folders");
}

static void folders_may_have_any_name(void **state)
{
    (void)state;
    PUT("named", "dog.jpg/1.jpg", "dog.jpg/2.jpg", "cat/1.jpg", "cat/2.jpg", "__MACOSX/x/1.jpg");
    assert_ok(look_plainly("named"));
    assert_int_equal(scan.class_count, 2);
    assert_string_equal(scan.classes[1].id, "dog.jpg");
    assert_int_equal(scan.train.count, 2);
    assert_said("named: __MACOSX/");
    sl_scan_close(&scan);
    PUT("vehicles", "bus/1.jpg", "car/1.jpg", "train/1.jpg");
    assert_ok(look("vehicles", (struct sl_scan_options){.val_fraction = 0}));
    assert_int_equal(scan.class_count, 3);
    assert_said("vehicles/train holds no folders: it is taken for a class");
    sl_scan_close(&scan);
}

/* What is an image is seen by its name, or else by its first bytes. */
static void images_without_the_name_of_one(void **state)
{
    (void)state;
    PUT("bare", "a/1.jpg", "a/README", "b/1.jpg", "b/_SUCCESS", "b/x.PNG");
    put("bare/a/2", "\xff\xd8\xff\xe0", 4);
    put("bare/a/4.bak", "\xff\xd8", 2);
    put("bare/a/5.bak", "\xff", 1);
    assert_ok(look("bare", (struct sl_scan_options){.val_fraction = 0}));
    assert_int_equal(scan.train.count, 5);
    assert_string_equal(class_of(&scan.train, "a_2"), "a");
    assert_string_equal(class_of(&scan.train, "a_4"), "a");
    assert_string_equal(class_of(&scan.train, "b_x"), "b");
    assert_said("left out 3 files that are no images, such as");
    sl_scan_close(&scan);
}

/* ---- TinyImageNet ---- */

static void put_tiny_lists(const char *folder, const char *annotations)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/wnids.txt", folder);
    put_text(path, "nb\nna\n");
    snprintf(path, sizeof path, "%s/words.txt", folder);
    put_text(path, "na\tapple\nnb\tbee\n");
    snprintf(path, sizeof path, "%s/val/val_annotations.txt", folder);
    if (annotations)
        put_text(path, annotations);
}

static const char two_lines[] = "val_0.JPEG\tnb\t0\t0\t1\t1\nval_1.JPEG\tna\t0\t0\t1\t1\n";

static void reads_converted_sets(void **state)
{
    static const struct {
        const char *name, *annotations, *paths[8];
    } cases[] = {
        {"official",
         two_lines,
         {"train/na/images/na_0.JPEG", "train/na/na_boxes.txt", "train/nb/images/nb_0.JPEG", "val/images/val_0.JPEG",
          "val/images/val_1.JPEG"}},
        {"no levels",
         two_lines,
         {"train/na/na_0.JPEG", "train/na/na_boxes.txt", "train/nb/nb_0.JPEG", "val/val_0.JPEG", "val/val_1.JPEG"}},
        {"folders",
         NULL,
         {"train/na/images/na_0.JPEG", "train/nb/images/nb_0.JPEG", "val/nb/val_0.JPEG", "val/na/val_1.JPEG"}},
        {"folders, images",
         NULL,
         {"train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/nb/images/val_0.JPEG", "val/na/images/val_1.JPEG"}},
        {"folders, lines",
         two_lines,
         {"train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/nb/images/val_0.JPEG", "val/na/images/val_1.JPEG",
          "val/images/.hidden"}},
        {"stray",
         two_lines,
         {"train/na/images/na_0.JPEG", "train/nb/images/nb_0.JPEG", "val/images/val_0.JPEG", "val/images/val_1.JPEG",
          "val/images/Thumbs.db", "val/README", "train/na/README"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_tiny_lists(cases[i].name, cases[i].annotations);
        put_all(cases[i].name, cases[i].paths);
        assert_ok(look_plainly(cases[i].name));
        assert_int_equal(scan.class_count, 2);
        assert_string_equal(scan.classes[0].words, "apple");
        assert_int_equal(scan.train.count, 2);
        assert_string_equal(class_of(&scan.train, "na_0"), "na");
        assert_string_equal(class_of(&scan.train, "nb_0"), "nb");
        assert_int_equal(scan.val.count, 2);
        const bool in_folders = !strncmp(cases[i].name, "folders", 7);
        assert_string_equal(class_of(&scan.val, in_folders ? "nb_val_0" : "val_0"), "nb");
        assert_string_equal(class_of(&scan.val, in_folders ? "na_val_1" : "val_1"), "na");
        if (!strcmp(cases[i].name, "stray"))
            assert_said("left out 3 files that are no images");
        else
            assert_silent();
        sl_scan_close(&scan);
    }
}

static void contradicting_folders_are_refused(void **state)
{
    (void)state;
    put_tiny_lists("liar", two_lines);
    PUT("liar", "train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/na/val_0.JPEG", "val/nb/val_1.JPEG");
    assert_int_equal(look_plainly("liar"), SL_BAD_DATA);
    assert_said("val_0.JPEG: is in the folder of the class na, but line 1 of");
    put_tiny_lists("bare-val", NULL);
    PUT("bare-val", "train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/images/val_0.JPEG");
    assert_int_equal(look_plainly("bare-val"), SL_MISSING);
    assert_said("no val_annotations.txt");
}

static void skip_covers_missing_images_and_lines(void **state)
{
    const struct sl_scan_options skip = {.val_fraction = -1, .skip_missing = true};
    (void)state;
    put_tiny_lists("holes", two_lines);
    PUT("holes", "train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/images/val_1.JPEG");
    assert_int_equal(look_plainly("holes"), SL_BAD_DATA);
    assert_said("line 1 is about val_0.JPEG, which is not in");
    assert_said("--on-bad-image skip");
    assert_ok(look("holes", skip));
    assert_int_equal(scan.val.count, 1);
    assert_int_equal(scan.skipped, 1);
    assert_said("skipped val_0.JPEG: line 1 of");
    sl_scan_close(&scan);
    PUT("holes", "val/images/val_0.JPEG", "val/images/val_00.JPEG");
    assert_int_equal(look_plainly("holes"), SL_BAD_DATA);
    assert_said("no line about val_00.JPEG");
    assert_ok(look("holes", skip));
    assert_int_equal(scan.val.count, 2);
    assert_int_equal(scan.skipped, 1);
    assert_string_equal(class_of(&scan.val, "val_1"), "na");
    sl_scan_close(&scan);
}

/* ---- lists ---- */

static void lists_come_from_any_editor(void **state)
{
    static const struct {
        const char *bytes, *lines[4];
    } cases[] = {
        {"", {NULL}},
        {"\n", {NULL}},
        {" \t\r\n", {NULL}},
        {"a\nb", {"a", "b"}},
        {"\r\n\r\na \r\n b\t\r\n", {"a", " b"}},
        {"a\rb\r", {"a", "b"}},
        {"\xef\xbb\xbf"
         "a\nb\n",
         {"a", "b"}},
        {"\xef\xbb\xbf", {NULL}},
        {"\xef\xbb", {"\xef\xbb"}},
    };
    (void)state;
    struct sl_text_list list;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text("list.txt", cases[i].bytes);
        assert_ok(sl_text_list_open(at("."), "list.txt", &list));
        for (size_t k = 0; cases[i].lines[k]; k++) {
            const char *line = sl_text_list_next(&list);
            assert_non_null(line);
            assert_string_equal(line, cases[i].lines[k]);
        }
        assert_null(sl_text_list_next(&list));
        sl_text_list_close(&list);
    }
    static const char *const wide[] = {"\xff\xfe"
                                       "a",
                                       "\xfe\xff"
                                       "a"};
    for (size_t i = 0; i < 2; i++) {
        put_text("list.txt", wide[i]);
        assert_fails(sl_text_list_open(at("."), "list.txt", &list), SL_BAD_DATA, "UTF-16");
        sl_text_list_close(&list);
    }
    put("list.txt", "a\0\n\0", 4);
    assert_fails(sl_text_list_open(at("."), "list.txt", &list), SL_BAD_DATA, "UTF-16");
    sl_text_list_close(&list);
}

static void byte_order_marks_change_nothing(void **state)
{
    (void)state;
    PUT("marked", "train/na/na_0.JPEG", "train/nb/nb_0.JPEG", "val/val_0.JPEG", "val/val_1.JPEG");
    put_text("marked/wnids.txt", "\xef\xbb\xbfna\r\nnb\r\n");
    put_text("marked/words.txt", "\xef\xbb\xbfna\tapple\r\nnb\tbee\r\n");
    put_text("marked/val/val_annotations.txt", "\xef\xbb\xbfval_0.JPEG\tnb\r\nval_1.JPEG\tna\r\n");
    assert_ok(look_plainly("marked"));
    assert_string_equal(scan.classes[0].id, "na");
    assert_string_equal(scan.classes[0].words, "apple");
    assert_string_equal(class_of(&scan.val, "val_0"), "nb");
    sl_scan_close(&scan);
}

static void words_in_latin_1_are_refused(void **state)
{
    (void)state;
    put_tiny_lists("latin", NULL);
    PUT("latin", "train/na/na_0.JPEG", "train/nb/nb_0.JPEG");
    put_text("latin/words.txt", "nx\tp\xe2t\xe9\nna\tapple\nnb\tb\xea"
                                "e\n");
    assert_int_equal(look_plainly("latin"), SL_BAD_DATA);
    assert_said("words.txt: line 3 (nb) is not UTF-8");
    assert_said("iconv");
}

/* ---- names ---- */

static void knows_utf_8(void **state)
{
    static const char *const right[] = {
        "a", "\xc3\xa9", "\xe7\x8c\xab", "\xf0\x9f\x90\xb1", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"};
    static const char *const wrong[] = {"\x80",
                                        "\xc0\x80",
                                        "\xc1\xbf",
                                        "\xc3",
                                        "\xe0\x80\x80",
                                        "\xe7\x8c",
                                        "\xed\xa0\x80",
                                        "\xf0\x80\x80\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xff",
                                        "\xc3\x28"};
    (void)state;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_int_equal(sl_utf8_length(right[i]), strlen(right[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(sl_utf8_length(wrong[i]), 0);
    assert_int_equal(sl_utf8_length(""), 0);
    char *name = sl_utf8_name("caf\xe9 \xc3\xa9\xff");
    assert_string_equal(name, "caf%E9 \xc3\xa9%FF");
    free(name);
}

/* The same keys and bytes in every locale, plain and compressed. */
static void names_are_utf_8_in_any_locale(void **state)
{
    static const char *const locales[] = {"C", "C.UTF-8"};
    (void)state;
    put_jpeg("names/Stra\xc3\x9f"
             "e/\xe7\x8c\xab 1.jpg",
             16, 16, 1);
    put_jpeg("names/caf\xe9/x\xff.jpg", 16, 16, 2);
    char *from = strdup(at("names"));
    for (int zstd = 0; zstd < 2; zstd++)
        for (int i = 0; i < 2; i++) {
            struct sl_dataset *set;
            struct sl_shard_reader reader;
            char to[32];
            setlocale(LC_ALL, locales[i]);
            snprintf(to, sizeof to, "names%d%d", zstd, i);
            char *output = strdup(at(to));
            struct sl_prepare_options options = prepare_options(from, output);
            options.val_fraction = 0;
            options.zstd = zstd;
            assert_ok(sl_prepare(&options, &set));
            sl_dataset_close(set);
            assert_ok(sl_dataset_open(output, &set));
            assert_string_equal(set->classes[0].id, "Stra\xc3\x9f"
                                                    "e");
            assert_string_equal(set->classes[1].id, "caf%E9");
            assert_ok(sl_shard_reader_open(output, &set->splits[0].shards[0], 2, &reader));
            assert_int_equal(reader.count, 2);
            for (size_t k = 0; k < 2; k++)
                assert_string_equal(reader.samples[k].key, reader.samples[k].label ? "caf%E9_x%FF"
                                                                                   : "Stra\xc3\x9f"
                                                                                     "e_\xe7\x8c\xab 1");
            sl_shard_reader_close(&reader);
            sl_dataset_close(set);
            free(output);
        }
    setlocale(LC_ALL, "C");
    assert_true(same_file(at("names00/train-000000.tar"), at("names01/train-000000.tar")));
    assert_true(same_file(at("names10/train-000000.tar.zst"), at("names11/train-000000.tar.zst")));
    free(from);
    put_text("clash/caf\xe9/1.jpg", "");
    put_text("clash/caf%E9/1.jpg", "");
    assert_int_equal(look_plainly("clash"), SL_BAD_DATA);
    assert_said("the class caf%E9 twice");
}

#define CASE(function) cmocka_unit_test(function)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(splits_have_many_names),
        CASE(what_is_left_out_is_named),
        CASE(a_test_folder_stands_in_only_if_it_can),
        CASE(wrong_folders_are_refused),
        CASE(folders_may_have_any_name),
        CASE(images_without_the_name_of_one),
        CASE(reads_converted_sets),
        CASE(contradicting_folders_are_refused),
        CASE(skip_covers_missing_images_and_lines),
        CASE(lists_come_from_any_editor),
        CASE(byte_order_marks_change_nothing),
        CASE(words_in_latin_1_are_refused),
        CASE(knows_utf_8),
        CASE(names_are_utf_8_in_any_locale),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
