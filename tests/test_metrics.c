/* Metrics against cases worked by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/train/top_classes.h"
#include "runtime/report/metrics_json.h"
#include "runtime/report/metrics_report.h"
#include "runtime/report/prediction.h"

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

typedef void print_fn(const struct sl_metrics *metrics, const char *const *names, FILE *to);

static char *printed(print_fn *print, const struct sl_metrics *metrics, const char *const *names)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);
    print(metrics, names, to);
    fclose(to);
    return text;
}

static char *report(const struct sl_metrics *metrics, const char *const *names)
{
    return printed(sl_metrics_print, metrics, names);
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
    /* Where every value is defined, both averages are the same. */
    const struct sl_average f1 = sl_metrics_f1(&m);
    assert_near(sl_metrics_precision(&m).usual, (3.0 / 4 + 2.0 / 4 + 5.0 / 7) / 3);
    assert_near(sl_metrics_recall(&m).usual, (3.0 / 4 + 2.0 / 5 + 5.0 / 6) / 3);
    assert_near(f1.usual, (3.0 / 4 + 4.0 / 9 + 10.0 / 13) / 3);
    assert_near(f1.defined, f1.usual);
    assert_true(f1.present == 3 && f1.excluded == 0);
    assert_near(sl_metrics_class_g_measure(&m, 1), sqrt(0.2));
    assert_near(sl_metrics_g_measure(&m), (0.75 + sqrt(0.2) + sqrt(25.0 / 42)) / 3);
    /* Class 1: tp 2, fp 2, fn 3, tn 8. */
    assert_near(sl_metrics_class_mcc(&m, 1), (2 * 8 - 2 * 3) / sqrt(4.0 * 5 * 10 * 11));
    /* Class 0: 3, 1, 1, 10; class 2: 5, 2, 1, 7. */
    const double mcc = 29 / sqrt(4.0 * 4 * 11 * 11) + 10 / sqrt(2200.0) + 33 / sqrt(7.0 * 6 * 9 * 8);
    assert_near(sl_metrics_mcc(&m).defined, mcc / 3);
    /* 10 right of 15; predicted 4, 4, 7; actual 4, 5, 6: (150 - 78) / sqrt((225 - 81)(225 - 77)). */
    assert_near(sl_metrics_multiclass_mcc(&m), 72 / sqrt(144.0 * 148));
    sl_metrics_close(&m);
}

/* Class 2 is never predicted, class 3 neither occurs nor is predicted, class 0 is predicted but never right:
 *      predicted 0 1 2 3
 * actual 0       0 2 0 0     precision 0/1, 3/7, 0/0, 0/0
 *        1       1 3 0 0     recall    0/2, 3/4, 0/2, 0/0
 *        2       0 2 0 0     F1        0, 6/11, undefined, undefined
 *        3       0 0 0 0
 * The usual averages are over the three classes that are there; scikit-learn 1.x gives the same with zero_division=0.
 */
static void undefined_values_count_as_zero(void **state)
{
    (void)state;
    struct sl_metrics m;
    const int four[16] = {0, 2, 0, 0, 1, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0};
    fill(&m, 4, 2, four);
    const struct sl_average precision = sl_metrics_precision(&m), recall = sl_metrics_recall(&m),
                            f1 = sl_metrics_f1(&m);
    assert_near(precision.usual, (0 + 3.0 / 7 + 0) / 3);
    assert_near(precision.defined, (0 + 3.0 / 7) / 2);
    assert_true(precision.present == 3 && precision.excluded == 2);
    assert_near(recall.usual, (0 + 3.0 / 4 + 0) / 3);
    assert_near(recall.defined, (0 + 3.0 / 4 + 0) / 3);
    assert_true(recall.present == 3 && recall.excluded == 1);
    assert_near(f1.usual, (0 + 6.0 / 11 + 0) / 3);
    assert_near(f1.defined, (0 + 6.0 / 11) / 2);
    assert_true(f1.present == 3 && f1.excluded == 2);
    assert_true(isnan(sl_metrics_class(&m, 2).precision) && !isnan(sl_metrics_class(&m, 2).recall));
    assert_true(isnan(sl_metrics_class(&m, 3).f1) && isnan(sl_metrics_class_mcc(&m, 3)));
    assert_near(sl_metrics_class_g_measure(&m, 2), 0);
    assert_near(sl_metrics_g_measure(&m), sqrt(9.0 / 28) / 4);
    assert_int_equal(sl_metrics_mcc(&m).excluded, 2);
    /* 3 right of 8; predicted 1, 7, 0; actual 2, 4, 2: (24 - 30) / sqrt((64 - 50)(64 - 24)). */
    assert_near(sl_metrics_multiclass_mcc(&m), -6 / sqrt(14.0 * 40));
    char *text = report(&m, NULL);
    assert_says(text, "# of classes        4\n# of samples        8\nAccuracy            0.3750\nTop 2 accuracy");
    assert_says(text, "\nPrecision           0.1429\nRecall              0.2500\nF1 score            0.1818\n");
    assert_says(text, "macro averages over the 3 classes that occur or are predicted");
    assert_says(text, "\nDL4J precision      0.2143   (2 classes excluded from average)\n");
    assert_says(text, "\nDL4J recall         0.2500   (1 class excluded from average)\n");
    assert_says(text, "\nDL4J F1 score       0.2727   (2 classes excluded from average)\n");
    assert_says(text, "Warning: 2 classes were never predicted: 2, 3\n");
    free(text);
    sl_metrics_close(&m);
}

/* Everything called class 0: the kind of model that DL4J's averages flatter. */
static void one_answer_is_not_flattered(void **state)
{
    (void)state;
    struct sl_metrics m;
    const int always[9] = {2, 0, 0, 2, 0, 0, 2, 0, 0};
    fill(&m, 3, 1, always);
    assert_near(sl_metrics_precision(&m).usual, 1.0 / 3 / 3);
    assert_near(sl_metrics_precision(&m).defined, 1.0 / 3);
    assert_near(sl_metrics_f1(&m).usual, 0.5 / 3);
    assert_near(sl_metrics_f1(&m).defined, 0.5);
    assert_near(sl_metrics_multiclass_mcc(&m), 0);
    assert_int_equal(sl_metrics_mcc(&m).excluded, 3);
    sl_metrics_close(&m);
}

static void two_classes_are_both_averaged(void **state)
{
    (void)state;
    struct sl_metrics m;
    const int two[4] = {8, 2, 1, 4};
    fill(&m, 2, 1, two);
    assert_near(sl_metrics_precision(&m).usual, (8.0 / 9 + 4.0 / 6) / 2);
    assert_near(sl_metrics_recall(&m).usual, (0.8 + 0.8) / 2);
    char *text = report(&m, NULL);
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
    assert_true(isnan(sl_metrics_accuracy(&m)) && isnan(sl_metrics_f1(&m).usual) && isnan(sl_metrics_mean_loss(&m)));
    assert_true(isnan(sl_metrics_f1(&m).defined) && isnan(sl_metrics_multiclass_mcc(&m)));
    assert_int_equal(sl_metrics_f1(&m).excluded, 3);
    char *text = report(&m, NULL);
    assert_says(text, "Accuracy            undefined\n");
    assert_null(strstr(text, "nan"));
    free(text);
    sl_metrics_close(&m);
}

/* Top-N is "among the first N of the ordered list", whatever ties. */
static void ties_go_in_the_order_of_classes(void **state)
{
    (void)state;
    const float even[] = {0.25f, 0.25f, 0.25f, 0.25f}, two[] = {0.1f, 0.4f, 0.4f, 0.1f},
                last[] = {0.1f, 0.1f, 0.2f, 0.6f};
    const float *const rows[] = {even, two, last};
    for (int32_t top_n = 1; top_n <= 5; top_n++)
        for (size_t r = 0; r < 3; r++)
            for (int32_t label = 0; label < 4; label++) {
                struct sl_metrics m;
                int32_t top[4];
                bool listed = false;
                assert_int_equal(sl_metrics_open(&m, 4, top_n), SL_OK);
                assert_int_equal(sl_metrics_add(&m, rows[r], 4, &label, 1), SL_OK);
                sl_top_classes(rows[r], 4, 4, top);
                for (int32_t n = 0; n < top_n && n < 4; n++)
                    listed |= top[n] == label;
                assert_int_equal(m.top_n_correct, listed);
                assert_int_equal(m.confusion[label * 4 + top[0]], 1);
                sl_metrics_close(&m);
            }
}

/* A network that says the same of everything: ten classes, one image of each. */
static void a_saturated_model_is_not_flattered(void **state)
{
    (void)state;
    struct sl_metrics m;
    float p[10];
    for (int c = 0; c < 10; c++)
        p[c] = 0.1f;
    assert_int_equal(sl_metrics_open(&m, 10, 5), SL_OK);
    for (int32_t label = 0; label < 10; label++)
        assert_int_equal(sl_metrics_add(&m, p, 10, &label, 1), SL_OK);
    assert_near(sl_metrics_accuracy(&m), 0.1);
    assert_near(sl_metrics_top_n(&m), 0.5);
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
    /* Each is a multiple of 2^-32, and so is their sum. */
    assert_float_equal(sl_metrics_mean_loss(&m), (log(4) + 10 * log(10)) / 2, 0x1p-33);
    assert_true(m.loss == (uint64_t)rint(log(4) * 0x1p32) + (uint64_t)rint(10 * log(10) * 0x1p32));
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
    const float p[45] = {0};
    fill(&a, 3, 2, three);
    fill(&b, 3, 2, zeros);
    assert_int_equal(sl_metrics_merge(&b, &a), SL_OK);
    assert_int_equal(sl_metrics_merge(&b, &a), SL_OK);
    assert_int_equal(b.samples, 30);
    assert_int_equal(b.top_n_correct, 2 * a.top_n_correct);
    assert_int_equal(b.confusion[8], 10);
    assert_true(b.loss == 2 * a.loss);
    b.samples = SL_METRICS_MAX_SAMPLES - 14;
    assert_int_equal(sl_metrics_merge(&b, &a), SL_BAD_DATA);
    assert_int_equal(sl_metrics_add(&b, p, 3, (const int32_t[15]){0}, 15), SL_BAD_DATA);
    assert_true(b.loss == 2 * a.loss && b.confusion[8] == 10);
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
    sl_metrics_close(&m);
}

static void prints_csv(void **state)
{
    (void)state;
    struct sl_metrics m;
    const char *const names[] = {"cat", "dog, big", "say \"x\"\n"};
    fill(&m, 3, 1, three);
    char *text = printed(sl_metrics_print_confusion, &m, names);
    assert_string_equal(text, "actual\\predicted,cat,\"dog, big\",\"say \"\"x\"\"\n\"\n"
                              "cat,3,1,0\n"
                              "\"dog, big\",1,2,2\n"
                              "\"say \"\"x\"\"\n\",0,1,5\n");
    free(text);
    sl_metrics_close(&m);
}

static void prints_json(void **state)
{
    (void)state;
    struct sl_metrics m;
    const char *const names[] = {"tab\t", "dog"};
    const int two[4] = {3, 0, 1, 0};
    fill(&m, 2, 1, two);
    m.loss = UINT64_C(2) << 32;
    char *text = printed(sl_metrics_print_json, &m, names);
    /* Precision 3/4 and 0/0, recall 1 and 0, F1 6/7 and undefined. */
    assert_string_equal(
        text,
        "{\"classes\":2,\"samples\":4,\"accuracy\":0.75,\"top_n\":{\"n\":1,\"accuracy\":0.75},\"precision\":0.375,"
        "\"recall\":0.5,\"f1\":0.428571429,\"mcc\":0,\"mean_loss\":0.5,\"present_classes\":2,\"never_predicted\":1,"
        "\"dl4j\":{\"precision\":{\"value\":0.75,\"excluded\":1},\"recall\":{\"value\":0.5,\"excluded\":0},"
        "\"f1\":{\"value\":0.857142857,\"excluded\":1},\"mcc\":{\"value\":null,\"excluded\":2},\"g_measure\":0."
        "433012702},"
        "\"per_class\":[{\"class\":\"tab\\u0009\",\"samples\":3,\"predicted\":4,\"correct\":3,\"precision\":0.75,"
        "\"recall\":1,\"f1\":0.857142857},{\"class\":\"dog\",\"samples\":1,\"predicted\":0,\"correct\":0,"
        "\"precision\":null,\"recall\":0,\"f1\":null}],\"confusion\":[[3,0],[1,0]]}\n");
    free(text);
    sl_metrics_reset(&m);
    text = printed(sl_metrics_print_json, &m, NULL);
    assert_says(text, "\"accuracy\":null");
    assert_null(strstr(text, "nan"));
    free(text);
    sl_metrics_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_classes),
        cmocka_unit_test(undefined_values_count_as_zero),
        cmocka_unit_test(one_answer_is_not_flattered),
        cmocka_unit_test(two_classes_are_both_averaged),
        cmocka_unit_test(nothing_is_undefined_not_zero),
        cmocka_unit_test(ties_go_in_the_order_of_classes),
        cmocka_unit_test(a_saturated_model_is_not_flattered),
        cmocka_unit_test(losses_are_summed),
        cmocka_unit_test(parts_add_up),
        cmocka_unit_test(a_bad_batch_counts_nothing),
        cmocka_unit_test(prints_table_and_matrix),
        cmocka_unit_test(prints_csv),
        cmocka_unit_test(prints_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
