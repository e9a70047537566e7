/* Preparation: labels, layouts, bad input, determinism. */
#include "tests/data_fixture.h"

#include "runtime/data/shard.h"

static char reported[4096];

static void remember(void *self, const char *line)
{
    (void)self;
    strncat(reported, line, sizeof reported - strlen(reported) - 2);
    strcat(reported, "\n");
}

static int prepare(const char *input, const char *output, bool skip, struct sl_dataset **set)
{
    char *from = strdup(at(input)), *to = strdup(at(output));
    struct sl_prepare_options options = prepare_options(from, to);
    options.skip_bad_images = skip;
    options.report = remember;
    reported[0] = '\0';
    const int rc = sl_prepare(&options, set);
    free(from);
    free(to);
    return rc;
}

/* The label of a key in a split, or -1. */
static int32_t label_of(const struct sl_dataset *set, const char *split, const char *key)
{
    int32_t label = -1;
    const struct sl_split *s = sl_dataset_split(set, split);
    for (size_t i = 0; s && i < s->shard_count; i++) {
        struct sl_shard_reader reader;
        assert_ok(sl_shard_reader_open(set->folder, &s->shards[i], set->class_count, &reader));
        for (size_t j = 0; j < reader.count; j++)
            if (!strcmp(reader.samples[j].key, key))
                label = reader.samples[j].label;
        sl_shard_reader_close(&reader);
    }
    return label;
}

/* Classes b and a (in this order in wnids.txt), two images each, and three for validation. */
static void put_tiny(const char *name)
{
    static const struct {
        const char *path, *text;
    } texts[] = {{"wnids.txt", "nb\r\nna\r\n"},
                 {"words.txt", "na\tapple, fruit\nnc\tno class here\nnb\tbee\n"},
                 {"train/na/na_boxes.txt", "na_0.JPEG\t0\t0\t1\t1\n"},
                 {"val/val_annotations.txt", "val_0.JPEG\tnb\t0\t0\t1\t1\nval_1.JPEG\tna\t0\t0\t1\t1\n"
                                             "val_2.JPEG\tnb\t0\t0\t1\t1\n"}};
    static const char *const images[] = {"train/na/images/na_0.JPEG", "train/na/images/na_1.JPEG",
                                         "train/nb/images/nb_0.JPEG", "train/nb/images/nb_1.JPEG",
                                         "val/images/val_0.JPEG",     "val/images/val_1.JPEG",
                                         "val/images/val_2.JPEG"};
    char path[PATH_ROOM];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        snprintf(path, sizeof path, "%s/%s", name, texts[i].path);
        put_text(path, texts[i].text);
    }
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        snprintf(path, sizeof path, "%s/%s", name, images[i]);
        put_jpeg(path, 16, 16, (unsigned)i);
    }
}

static void reads_tinyimagenet(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tiny("orig");
    assert_ok(prepare("orig", "orig.out", false, &set));
    assert_int_equal(set->class_count, 2);
    assert_string_equal(set->classes[0].id, "na");
    assert_string_equal(set->classes[0].words, "apple, fruit");
    assert_string_equal(set->classes[1].words, "bee");
    assert_int_equal(label_of(set, "train", "na_1"), 0);
    assert_int_equal(label_of(set, "train", "nb_0"), 1);
    assert_int_equal(label_of(set, "val", "val_0"), 1);
    assert_int_equal(label_of(set, "val", "val_1"), 0);
    assert_int_equal(label_of(set, "val", "val_2"), 1);
    assert_int_equal(label_of(set, "val", "val_3"), -1);
    sl_dataset_close(set);
}

/* A set whose validation images lie in class folders that contradict the annotations. */
static void labels_come_from_the_annotations(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tiny("trap");
    assert_int_equal(mkdir(at("trap/val/images/na"), 0777), 0);
    assert_int_equal(rename(at("trap/val/images/val_0.JPEG"), at("trap/val/images/na/val_0.JPEG")), 0);
    assert_fails(prepare("trap", "trap.out", false, &set), SL_BAD_DATA, "na/val_0.JPEG");
    put_text("trap/val/val_annotations.txt", "na/val_0.JPEG\tnb\t0\t0\t1\t1\nval_1.JPEG\tna\nval_2.JPEG\tna\n");
    assert_ok(prepare("trap", "trap.out", false, &set));
    assert_int_equal(label_of(set, "val", "na_val_0"), 1);
    sl_dataset_close(set);
}

static void contradictions_are_refused(void **state)
{
    static const struct {
        const char *path, *text; /* a file to replace; text NULL: to remove */
        int status;
        const char *part;
    } cases[] = {
        {"wnids.txt", NULL, SL_MISSING, "wnids.txt"},
        {"wnids.txt", "\n\n", SL_BAD_DATA, "names no class"},
        {"wnids.txt", "na\nnb\nna\n", SL_BAD_DATA, "na twice"},
        {"wnids.txt", "na\n", SL_BAD_DATA, "nb is not in wnids.txt"},
        {"wnids.txt", "na\nnb\nnx\n", SL_BAD_DATA, "class nx has no images"},
        {"wnids.txt", "na\nnb\n../x\n", SL_BAD_DATA, "../x is no class"},
        {"words.txt", "na\t\xff\xfe\n", SL_BAD_DATA, "UTF-8"},
        {"val/val_annotations.txt", NULL, SL_MISSING, "val_annotations.txt"},
        {"val/val_annotations.txt", "val_0.JPEG\tnb\n", SL_BAD_DATA, "no line about val_1.JPEG"},
        {"val/val_annotations.txt", "val_0.JPEG nb\n", SL_BAD_DATA, "line 1 has no tab"},
        {"val/val_annotations.txt", "val_0.JPEG\tnq\t0\n", SL_BAD_DATA, "nq of val_0.JPEG"},
        {"val/val_annotations.txt", "val_0.JPEG\tnb\nval_1.JPEG\tnb\nval_0.JPEG\tna\n", SL_BAD_DATA, "both about"},
        {"val/val_annotations.txt", "val_0.JPEG\tnb\nval_1.JPEG\tnb\nval_2.JPEG\tna\nval_9.JPEG\tna\n", SL_BAD_DATA,
         "val_9.JPEG, which is not"},
        {"val/images/val_1.JPEG", NULL, SL_BAD_DATA, "val_1.JPEG, which is not"},
        {"train/na/images/na_0.JPEG", "hello there\n", SL_BAD_DATA, "na_0.JPEG: not a JPEG image but text"},
        {"train/na/images/na_0.JPEG", "", SL_BAD_DATA, "na_0.JPEG: not a JPEG image but an empty file"},
        {"train/na/images/na_0.JPEG", "\x89PNG\r\n\x1a\n", SL_BAD_DATA, "na_0.JPEG: not a JPEG image but a PNG"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sl_dataset *set;
        char name[32], path[PATH_ROOM], output[40];
        snprintf(name, sizeof name, "wrong%zu", i);
        snprintf(output, sizeof output, "%s.out", name);
        put_tiny(name);
        snprintf(path, sizeof path, "%s/%s", name, cases[i].path);
        if (cases[i].text)
            put_text(path, cases[i].text);
        else
            assert_int_equal(unlink(at(path)), 0);
        assert_fails(prepare(name, output, false, &set), cases[i].status, cases[i].part);
        assert_null(set);
        snprintf(path, sizeof path, "%s/dataset.json", output);
        assert_int_not_equal(access(at(path), F_OK), 0);
        snprintf(path, sizeof path, "%s/train-000000.tar", output);
        assert_int_not_equal(access(at(path), F_OK), 0);
    }
}

static void reads_trees(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_jpeg("tree/train/cat/x/1.jpg", 20, 10, 1);
    put_jpeg("tree/train/cat/1.v2.jpeg", 16, 16, 2);
    put_jpeg("tree/train/cat/1_v2.jpeg", 16, 16, 5);
    put_jpeg("tree/train/dog/dog_1.jpg", 16, 16, 3);
    put_jpeg("tree/val/dog/1.jpg", 16, 16, 4);
    put_text("tree/train/cat/.DS_Store", "hidden");
    assert_ok(prepare("tree", "tree.out", false, &set));
    assert_string_equal(set->classes[0].words, "cat");
    assert_int_equal(label_of(set, "train", "cat_x_1"), 0);
    assert_int_equal(label_of(set, "train", "cat_1_v2"), 0);
    assert_int_equal(label_of(set, "train", "cat_1_v2-2"), 0);
    assert_int_equal(label_of(set, "train", "dog_1"), 1);
    assert_int_equal(label_of(set, "val", "dog_1"), 1);
    assert_int_equal(sl_dataset_split(set, "val")->samples, 1);
    sl_dataset_close(set);
    put_jpeg("tree/val/owl/1.jpg", 16, 16, 4);
    assert_fails(prepare("tree", "tree.no", false, &set), SL_BAD_DATA, "owl is not among");
}

static void splits_what_has_no_validation(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tree("plain", 3, 20);
    assert_ok(prepare("plain", "plain.out", false, &set));
    for (int c = 0; c < 3; c++) {
        assert_int_equal(sl_dataset_split(set, "train")->class_samples[c], 18);
        assert_int_equal(sl_dataset_split(set, "val")->class_samples[c], 2);
    }
    sl_dataset_close(set);
    char *from = strdup(at("plain")), *to = strdup(at("plain.none"));
    struct sl_prepare_options options = prepare_options(from, to);
    options.val_fraction = 0;
    assert_ok(sl_prepare(&options, &set));
    assert_null(sl_dataset_split(set, "val"));
    assert_int_equal(sl_dataset_split(set, "train")->samples, 60);
    assert_int_equal(sl_dataset_split(set, "train")->shard_count, 8);
    sl_dataset_close(set);
    free(from);
    from = strdup(at("orig"));
    options.input = from;
    options.val_fraction = 0.5;
    options.output = at("plain.no");
    assert_fails(sl_prepare(&options, &set), SL_USAGE, "own validation");
    free(from);
    free(to);
}

static void nothing_to_prepare(void **state)
{
    (void)state;
    struct sl_dataset *set;
    assert_fails(prepare("nowhere", "n.out", false, &set), SL_MISSING, "nowhere");
    assert_int_equal(mkdir(at("empty"), 0777), 0);
    assert_fails(prepare("empty", "e.out", false, &set), SL_MISSING, "no images");
    put_jpeg("hollow/cat/1.jpg", 16, 16, 1);
    assert_int_equal(mkdir(at("hollow/dog"), 0777), 0);
    assert_fails(prepare("hollow", "h.out", false, &set), SL_BAD_DATA, "class dog has no images");
}

static void put_bad_images(const char *name)
{
    char path[PATH_ROOM];
    size_t length;
    uint8_t *jpeg = make_jpeg(16, 16, 1, false, &length);
    put_tree(name, 2, 4);
    snprintf(path, sizeof path, "%s/class00/a_cut.jpg", name);
    put(path, jpeg, length - 9);
    snprintf(path, sizeof path, "%s/class00/b_empty.jpg", name);
    put(path, "", 0);
    snprintf(path, sizeof path, "%s/class01/c_png.jpg", name);
    put(path, "\x89PNG\r\n\x1a\n", 8);
    snprintf(path, sizeof path, "%s/class01/d_wide.jpg", name);
    uint8_t *sof = memmem(jpeg, length, "\xff\xc0\x00\x11\x08", 5);
    memcpy(sof + 5, "\xff\xff\xff\xff", 4);
    put(path, jpeg, length);
    snprintf(path, sizeof path, "%s/class01/e_folder.jpg", name);
    assert_int_equal(mkdir(at(path), 0777), 0);
    snprintf(path, sizeof path, "%s/class01/f_pipe.jpg", name);
    assert_int_equal(mkfifo(at(path), 0666), 0);
    free(jpeg);
}

static void bad_images_are_named(void **state)
{
    static const char *const parts[] = {"a_cut.jpg: truncated",
                                        "b_empty.jpg: not a JPEG image but an empty file",
                                        "c_png.jpg: not a JPEG image but a PNG image",
                                        "d_wide.jpg: a JPEG of a kind that is not read",
                                        "e_folder.jpg: a folder",
                                        "f_pipe.jpg: a special file"};
    (void)state;
    struct sl_dataset *set;
    put_bad_images("bad");
    char *from = strdup(at("bad")), *to = strdup(at("bad.out"));
    struct sl_prepare_options options = prepare_options(from, to);
    options.val_fraction = 0;
    for (options.threads = 1; options.threads <= 5; options.threads += 2)
        assert_fails(sl_prepare(&options, &set), SL_BAD_DATA, "a_cut.jpg");
    options.skip_bad_images = true;
    options.report = remember;
    reported[0] = '\0';
    assert_ok(sl_prepare(&options, &set));
    const char *line = reported;
    for (size_t i = 0; i < 6; i++) {
        line = strstr(line, parts[i]);
        if (!line)
            fail_msg("\"%s\" is not in, or not in its place of:\n%s", parts[i], reported);
    }
    assert_int_equal(set->skipped, 6);
    assert_int_equal(sl_dataset_split(set, "train")->samples, 8);
    sl_dataset_close(set);
    free(from);
    free(to);
    put_jpeg("allbad/a/1.jpg", 16, 16, 1);
    put_text("allbad/b/1.jpg", "x");
    assert_fails(prepare("allbad", "allbad.out", true, &set), SL_BAD_DATA, "class b has no readable");
}

static void the_same_bytes_always(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tree("same", 3, 12);
    char *from = strdup(at("same"));
    for (int zstd = 0; zstd < 2; zstd++) {
        const char *const shard = zstd ? "train-000001.tar.zst" : "train-000001.tar";
        for (int run = 0; run < 3; run++) {
            char to[32], name[64], first[64];
            snprintf(to, sizeof to, "same%d%d", zstd, run);
            char *output = strdup(at(to));
            struct sl_prepare_options options = prepare_options(from, output);
            options.zstd = zstd;
            options.threads = 1 + 2 * run;
            assert_ok(sl_prepare(&options, &set));
            sl_dataset_close(set);
            free(output);
            snprintf(first, sizeof first, "same%d0/%s", zstd, shard);
            snprintf(name, sizeof name, "%s/%s", to, shard);
            assert_true(same_file(at(first), at(name)));
            snprintf(first, sizeof first, "same%d0/dataset.json", zstd);
            snprintf(name, sizeof name, "%s/dataset.json", to);
            assert_true(same_file(at(first), at(name)));
        }
    }
    struct sl_prepare_options other = prepare_options(from, at("same-seed2"));
    other.seed = 2;
    assert_ok(sl_prepare(&other, &set));
    sl_dataset_close(set);
    assert_false(same_file(at("same00/train-000000.tar"), at("same-seed2/train-000000.tar")));
    free(from);
}

static void moments_are_those_of_the_pixels(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_jpeg("moments/a/1.jpg", 16, 16, 1);
    char *from = strdup(at("moments")), *to = strdup(at("moments.out"));
    struct sl_prepare_options options = prepare_options(from, to);
    options.one_class = true;
    assert_ok(sl_prepare(&options, &set));
    free(from);
    free(to);
    struct sl_jpeg *jpeg;
    uint8_t rgb[16 * 16 * 3], *bytes;
    size_t length;
    assert_ok(sl_jpeg_open(&jpeg));
    assert_ok(sl_io_read(at("moments/a/1.jpg"), 1 << 20, &bytes, &length));
    assert_ok(sl_jpeg_decode(jpeg, bytes, length, 16, true, rgb));
    for (int c = 0; c < 3; c++) {
        double mean = 0, variance = 0;
        for (int i = 0; i < 256; i++)
            mean += rgb[i * 3 + c] / 255.0 / 256;
        for (int i = 0; i < 256; i++)
            variance += (rgb[i * 3 + c] / 255.0 - mean) * (rgb[i * 3 + c] / 255.0 - mean) / 256;
        assert_true(set->pixels.mean[c] - mean < 1e-12 && mean - set->pixels.mean[c] < 1e-12);
        assert_true(set->pixels.deviation[c] * set->pixels.deviation[c] - variance < 1e-12);
        assert_true(variance - set->pixels.deviation[c] * set->pixels.deviation[c] < 1e-12);
    }
    free(bytes);
    sl_jpeg_close(jpeg);
    sl_dataset_close(set);
}

static void used_folders_are_left_alone(void **state)
{
    (void)state;
    struct sl_dataset *set;
    put_tree("in", 2, 3);
    put_text("used/letter.txt", "dear");
    assert_fails(prepare("in", "used", false, &set), SL_CANNOT_CREATE, "letter.txt");
    assert_int_equal(access(at("used/letter.txt"), F_OK), 0);
    /* Somebody else's shards, without our marker. */
    put_text("foreign/train-000000.tar", "x");
    assert_fails(prepare("in", "foreign", false, &set), SL_CANNOT_CREATE, "train-000000.tar");
    assert_int_equal(access(at("foreign/train-000000.tar"), F_OK), 0);
    assert_fails(prepare("in", "in/class00/0.jpg", false, &set), SL_CANNOT_CREATE, "0.jpg");
    assert_ok(prepare("in", "twice", false, &set));
    sl_dataset_close(set);
    assert_fails(prepare("in", "twice", false, &set), SL_CANNOT_CREATE, "already holds");
    assert_int_not_equal(access(at("twice/unfinished"), F_OK), 0);
    /* What a killed preparation left is taken over. */
    put_text("killed/unfinished", "");
    put_text("killed/train-000007.tar.tmp", "x");
    put_text("killed/train-000000.tar", "x");
    put_text("killed/dataset.json.0123456789abcdef.tmp", "{");
    assert_ok(prepare("in", "killed", false, &set));
    assert_int_not_equal(access(at("killed/train-000007.tar.tmp"), F_OK), 0);
    assert_int_not_equal(access(at("killed/dataset.json.0123456789abcdef.tmp"), F_OK), 0);
    assert_int_equal(label_of(set, "train", "class00_9"), -1);
    sl_dataset_close(set);
    put_text("mixed/unfinished", "");
    put_text("mixed/letter.txt", "dear");
    assert_fails(prepare("in", "mixed", false, &set), SL_CANNOT_CREATE, "letter.txt");
    put_text("kept/unfinished", "");
    put_text("kept/dataset.json.mine", "dear");
    assert_fails(prepare("in", "kept", false, &set), SL_CANNOT_CREATE, "dataset.json.mine");
    assert_int_equal(access(at("kept/dataset.json.mine"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_tinyimagenet),
        cmocka_unit_test(labels_come_from_the_annotations),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(reads_trees),
        cmocka_unit_test(splits_what_has_no_validation),
        cmocka_unit_test(nothing_to_prepare),
        cmocka_unit_test(bad_images_are_named),
        cmocka_unit_test(the_same_bytes_always),
        cmocka_unit_test(moments_are_those_of_the_pixels),
        cmocka_unit_test(used_folders_are_left_alone),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
