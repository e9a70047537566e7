/* Metrics against cases worked by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/metrics.h"

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) < 1e-12))
        fail_msg("%.15g is not %.15g", value, expected);
}

/* One row for each sample of the matrix: probability 0.7 for the predicted class, the rest even. */
static void fill(struct sl_metrics *metrics, int32_t classes, int32_t top_n, const int *confusion)
{
    float p[32];
    assert_int_equal(sl_metrics_open(metrics, classes, top_n), SL_OK);
    for (int32_t actual = 0; actual < classes; actual++)
        for (int32_t predicted = 0; predicted < classes; predicted++)
            for (int i = 0; i < confusion[actual * classes + predicted]; i++) {
                for (int32_t c = 0; c < classes; c++)
                    p[c] = c == predicted ? 0.7f : 0.3f / (float)(classes - 1);
                assert_int_equal(sl_metrics_add(metrics, p, classes, &actual, 1), SL_OK);
            }
}

static char *report(const struct sl_metrics *metrics, const char *const *names)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    assert_int_equal(sl_metrics_print(metrics, names, to), SL_OK);
    fclose(to);
    return text;
}

static void assert_says(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("no \"%s\" in:\n%s", wanted, text);
}

/*      predicted 0 1 2
 * actual 0       3 1 0
 *        1       1 2 2
 *        2       0 1 5 */
static const int three[9] = {3, 1, 0, 1, 2, 2, 0, 1, 5};

static void three_classes(void **state)
{
    (void)state;
    struct sl_metrics m;
    fill(&m, 3, 1, three);
    assert_int_equal(m.samples, 15);
    assert_near(sl_metrics_accuracy(&m), 10.0 / 15);
    assert_near(sl_metrics_top_n(&m), 10.0 / 15);
    const struct sl_class_metrics one = sl_metrics_class(&m, 1);
    assert_int_equal(one.actual, 5);
    assert_int_equal(one.predicted, 4);
    assert_int_equal(one.correct, 2);
    assert_near(one.precision, 0.5);
    assert_near(one.recall, 0.4);
    assert_near(one.f1, 4.0 / 9);
    assert_near(sl_metrics_precision(&m).value, (3.0 / 4 + 2.0 / 4 + 5.0 / 7) / 3);
    assert_near(sl_metrics_recall(&m).value, (3.0 / 4 + 2.0 / 5 + 5.0 / 6) / 3);
    assert_near(sl_metrics_f1(&m).value, (3.0 / 4 + 4.0 / 9 + 10.0 / 13) / 3);
    assert_int_equal(sl_metrics_f1(&m).excluded, 0);
    assert_near(sl_metrics_class_g_measure(&m, 1), sqrt(0.2));
    assert_near(sl_metrics_g_measure(&m), (0.75 + sqrt(0.2) + sqrt(25.0 / 42)) / 3);
    /* Class 1: tp 2, fp 2, fn 3, tn 8. */
    assert_near(sl_metrics_class_mcc(&m, 1), (2 * 8 - 2 * 3) / sqrt(4.0 * 5 * 10 * 11));
    /* Class 0: 3, 1, 1, 10; class 2: 5, 2, 1, 7. */
    const double mcc = 29 / sqrt(4.0 * 4 * 11 * 11) + 10 / sqrt(2200.0) + 33 / sqrt(7.0 * 6 * 9 * 8);
    assert_near(sl_metrics_mcc(&m).value, mcc / 3);
    sl_metrics_close(&m);
}

/* Class 2 is never predicted, class 3 neither occurs nor is predicted, class 0 is predicted but never right. */
static void undefined_values_are_left_out(void **state)
{
    (void)state;
    struct sl_metrics m;
    const int four[16] = {0, 2, 0, 0, 1, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0};
    fill(&m, 4, 2, four);
    const struct sl_average precision = sl_metrics_precision(&m), recall = sl_metrics_recall(&m),
                            f1 = sl_metrics_f1(&m);
    assert_near(precision.value, (0 + 3.0 / 7) / 2);
    assert_int_equal(precision.excluded, 2);
    assert_near(recall.value, (0 + 3.0 / 4 + 0) / 3);
    assert_int_equal(recall.excluded, 1);
    assert_near(f1.value, (0 + 6.0 / 11) / 2);
    assert_int_equal(f1.excluded, 2);
    assert_true(isnan(sl_metrics_class(&m, 2).precision) && !isnan(sl_metrics_class(&m, 2).recall));
    assert_true(isnan(sl_metrics_class(&m, 3).f1) && isnan(sl_metrics_class_mcc(&m, 3)));
    assert_near(sl_metrics_class_g_measure(&m, 2), 0);
    assert_near(sl_metrics_g_measure(&m), sqrt(9.0 / 28) / 4);
    assert_int_equal(sl_metrics_mcc(&m).excluded, 2);
    char *text = report(&m, NULL);
    assert_says(text, "# of classes        4\n");
    assert_says(text, "# of samples        8\n");
    assert_says(text, "Precision           0.2143   (2 classes excluded from average)\n");
    assert_says(text, "Recall              0.2500   (1 class excluded from average)\n");
    assert_says(text, "Warning: 2 classes were never predicted: 2, 3\n");
    assert_says(text, "Top 2 accuracy");
    free(text);
    sl_metrics_close(&m);
}

static void two_classes_are_both_averaged(void **state)
{
    (void)state;
    struct sl_metrics m;
    const int two[4] = {8, 2, 1, 4};
    fill(&m, 2, 1, two);
    assert_near(sl_metrics_precision(&m).value, (8.0 / 9 + 4.0 / 6) / 2);
    assert_near(sl_metrics_recall(&m).value, (0.8 + 0.8) / 2);
    char *text = report(&m, NULL);
    assert_says(text, "both of the two");
    assert_null(strstr(text, "Top"));
    assert_null(strstr(text, "Warning"));
    free(text);
    sl_metrics_close(&m);
}

static void nothing_is_undefined_not_zero(void **state)
{
    (void)state;
    struct sl_metrics m;
    assert_int_equal(sl_metrics_open(&m, 3, 5), SL_OK);
    assert_int_equal(sl_metrics_add(&m, NULL, 3, NULL, 0), SL_OK);
    assert_true(isnan(sl_metrics_accuracy(&m)) && isnan(sl_metrics_f1(&m).value) && isnan(sl_metrics_mean_loss(&m)));
    assert_int_equal(sl_metrics_f1(&m).excluded, 3);
    char *text = report(&m, NULL);
    assert_says(text, "Accuracy            undefined\n");
    assert_null(strstr(text, "nan"));
    free(text);
    sl_metrics_close(&m);
}

static void ties_go_as_documented(void **state)
{
    (void)state;
    struct sl_metrics m;
    const float even[] = {0.25f, 0.25f, 0.25f, 0.25f}, two[] = {0.1f, 0.4f, 0.4f, 0.1f};
    const int32_t labels[] = {0, 1, 3};
    assert_int_equal(sl_metrics_open(&m, 4, 1), SL_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sl_metrics_add(&m, even, 4, &labels[i], 1), SL_OK);
    /* The lowest index is predicted, but nobody is strictly greater than the true class. */
    assert_int_equal(m.confusion[3 * 4 + 0], 1);
    assert_near(sl_metrics_accuracy(&m), 1.0 / 3);
    assert_near(sl_metrics_top_n(&m), 1);
    sl_metrics_close(&m);
    assert_int_equal(sl_metrics_open(&m, 4, 2), SL_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sl_metrics_add(&m, two, 4, &labels[i], 1), SL_OK);
    assert_int_equal(m.top_n_correct, 1);
    sl_metrics_close(&m);
}

static void losses_are_summed(void **state)
{
    (void)state;
    struct sl_metrics m;
    /* Rows are five apart; what lies between is not looked at. */
    const float p[] = {0.5f, 0.25f, 0.25f, NAN, NAN, 0, 1, 0, NAN, NAN};
    const int32_t labels[] = {1, 0};
    assert_int_equal(sl_metrics_open(&m, 3, 1), SL_OK);
    assert_int_equal(sl_metrics_add(&m, p, 5, labels, 2), SL_OK);
    assert_near(sl_metrics_mean_loss(&m), (log(4) + 10 * log(10)) / 2);
    sl_metrics_reset(&m);
    assert_int_equal(m.samples, 0);
    assert_true(m.loss == 0 && m.confusion[1] == 0);
    sl_metrics_close(&m);
}

static void parts_add_up(void **state)
{
    (void)state;
    struct sl_metrics a, b, other;
    const int zeros[9] = {0};
    fill(&a, 3, 2, three);
    fill(&b, 3, 2, zeros);
    assert_int_equal(sl_metrics_merge(&b, &a), SL_OK);
    assert_int_equal(sl_metrics_merge(&b, &a), SL_OK);
    assert_int_equal(b.samples, 30);
    assert_int_equal(b.top_n_correct, 2 * a.top_n_correct);
    assert_int_equal(b.confusion[8], 10);
    assert_near(b.loss, 2 * a.loss);
    fill(&other, 3, 1, zeros);
    assert_int_equal(sl_metrics_merge(&other, &a), SL_INTERNAL);
    sl_metrics_close(&a);
    sl_metrics_close(&b);
    sl_metrics_close(&other);
}

static void a_bad_batch_counts_nothing(void **state)
{
    (void)state;
    struct sl_metrics m;
    const float p[] = {1, 0, 0, 1}, nan[] = {1, 0, 0, NAN}, infinite[] = {1, 0, INFINITY, 0};
    const int32_t labels[] = {0, 1}, high[] = {0, 2}, low[] = {0, -1};
    assert_int_equal(sl_metrics_open(&m, 0, 1), SL_BAD_CONFIG);
    assert_int_equal(sl_metrics_open(&m, 2, 0), SL_BAD_CONFIG);
    assert_int_equal(sl_metrics_open(&m, 2000000000, 1), SL_BAD_CONFIG);
    assert_int_equal(sl_metrics_open(&m, 2, 1), SL_OK);
    assert_int_equal(sl_metrics_add(&m, nan, 2, labels, 2), SL_NUMERICS);
    assert_int_equal(sl_metrics_add(&m, infinite, 2, labels, 2), SL_NUMERICS);
    assert_int_equal(sl_metrics_add(&m, p, 2, high, 2), SL_BAD_DATA);
    assert_int_equal(sl_metrics_add(&m, p, 2, low, 2), SL_BAD_DATA);
    assert_true(m.samples == 0 && m.confusion[0] == 0 && m.loss == 0);
    assert_int_equal(sl_metrics_add(&m, p, 2, labels, 2), SL_OK);
    assert_int_equal(m.samples, 2);
    sl_metrics_close(&m);
}

static void prints_table_and_matrix(void **state)
{
    (void)state;
    struct sl_metrics m;
    const char *const names[] = {"cat", "dog, \x1b[2Jbig", "a name that is far too long for the table's column"};
    fill(&m, 3, 1, three);
    char *text = report(&m, names);
    assert_says(text, "F1 score            0.6546\n");
    assert_says(text, "     0  cat                                 4         4        3    0.7500   0.7500   0.7500\n");
    assert_says(text, "dog, ?[2Jbig");
    assert_says(text, "a name that is far too long         6");
    assert_says(text, "\n     1   1   2   2\n     2   0   1   5\n");
    assert_null(strchr(text, '\x1b'));
    free(text);
    sl_metrics_close(&m);
    int many[21 * 21] = {[0] = 1};
    fill(&m, 21, 5, many);
    text = report(&m, NULL);
    assert_says(text, "not printed for more than 20 classes");
    assert_says(text, "Warning: 20 classes were never predicted\n");
    free(text);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(sl_metrics_print(&m, NULL, full), SL_IO);
    fclose(full);
    sl_metrics_close(&m);
}

static void writes_csv(void **state)
{
    (void)state;
    struct sl_metrics m;
    char folder[] = "/tmp/sl-metrics-XXXXXX", path[64], text[512];
    const char *const names[] = {"cat", "dog, big", "say \"x\"\n"};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/c.csv", folder);
    fill(&m, 3, 1, three);
    assert_int_equal(sl_metrics_write_confusion(&m, names, path), SL_OK);
    FILE *file = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_string_equal(text, "actual\\predicted,cat,\"dog, big\",\"say \"\"x\"\"\n\"\n"
                              "cat,3,1,0\n"
                              "\"dog, big\",1,2,2\n"
                              "\"say \"\"x\"\"\n\",0,1,5\n");
    assert_int_equal(sl_metrics_write_confusion(&m, names, "/dev/full"), SL_CANNOT_CREATE);
    assert_int_equal(sl_metrics_write_confusion(&m, NULL, "/dev/null/c.csv"), SL_CANNOT_CREATE);
    assert_non_null(strstr(sl_last_error(), "/dev/null/c.csv"));
    sl_metrics_close(&m);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_classes),
        cmocka_unit_test(undefined_values_are_left_out),
        cmocka_unit_test(two_classes_are_both_averaged),
        cmocka_unit_test(nothing_is_undefined_not_zero),
        cmocka_unit_test(ties_go_as_documented),
        cmocka_unit_test(losses_are_summed),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_bad_batch_counts_nothing),
        cmocka_unit_test(prints_table_and_matrix),
        cmocka_unit_test(writes_csv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
