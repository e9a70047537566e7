/* The run's log: whole lines, valid JSON, one history across resumes, and lines for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/file_io.h"
#include "runtime/report/log.h"

static char run[64], jsonl[80], csv[80];

static int enter(void **state)
{
    (void)state;
    strcpy(run, "/tmp/sl-log-XXXXXX");
    if (!mkdtemp(run))
        return -1;
    snprintf(jsonl, sizeof jsonl, "%s/log.jsonl", run);
    snprintf(csv, sizeof csv, "%s/metrics.csv", run);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    sl_io_fault_hook = NULL;
    unlink(jsonl);
    unlink(csv);
    return rmdir(run);
}

static char *content(const char *path)
{
    char *text;
    size_t n;
    assert_int_equal(sl_io_read_own(path, 1 << 20, &text, &n), SL_OK);
    assert_int_equal(strlen(text), n);
    return text;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void assert_says(const char *text, const char *wanted)
{
    if (!strstr(text, wanted))
        fail_msg("no \"%s\" in:\n%s", wanted, text);
}

static FILE *lines;

static struct sl_log *open_log(struct sl_log_options options)
{
    struct sl_log *log;
    lines = tmpfile();
    assert_non_null(lines);
    options.to = lines;
    assert_int_equal(sl_log_open(&options, &log), SL_OK);
    return log;
}

/* Closes the log; what it said is in the static text. */
static const char *close_log(struct sl_log *log, int expected)
{
    static char text[16384];
    assert_int_equal(sl_log_close(log), expected);
    rewind(lines);
    text[fread(text, 1, sizeof text - 1, lines)] = '\0';
    fclose(lines);
    return text;
}

static struct sl_step_record step_at(uint64_t epoch, uint64_t step, uint64_t steps)
{
    return (struct sl_step_record){.epoch = epoch,
                                   .iteration = epoch * steps + step,
                                   .step_in_epoch = step,
                                   .steps_per_epoch = steps,
                                   .samples = 32,
                                   .wait_seconds = 0.001,
                                   .step_seconds = 0.249,
                                   .score = 5.5,
                                   .loss = 5.25,
                                   .rate = 0.008};
}

static struct sl_epoch_record epoch_at(uint64_t epoch)
{
    return (struct sl_epoch_record){.epoch = epoch,
                                    .iteration = 10 * (epoch + 1),
                                    .train_loss = 4.5,
                                    .val_loss = NAN,
                                    .top1 = 0.125,
                                    .top5 = 0.5,
                                    .images_per_second = 123,
                                    .seconds = 61,
                                    .learning_rate = 0.006};
}

static void writes_records_and_rows(void **state)
{
    (void)state;
    struct sl_log *log = open_log((struct sl_log_options){.run = run, .progress = SL_PROGRESS_NONE, .epochs = 10});
    struct sl_step_record step = step_at(0, 1, 10);
    step.loss = INFINITY;
    const struct sl_epoch_record epoch = epoch_at(0);
    sl_log_step(log, &step);
    sl_log_epoch(log, &epoch);
    sl_log_event(log, "checkpoint", "ckpt-10 \"a\\b\"\n\xc3\xa9 \xff\xed\xa0\x80");
    sl_log_message(log, "refused: %s", "a\x1b[2Jb");
    const char *said = close_log(log, SL_OK);
    char *text = content(jsonl);
    assert_int_equal(count(text, "\n"), 4);
    assert_int_equal(count(text, "{\"schema_version\":1,\"event\":\""), 4);
    assert_says(text,
                "\"epoch\":0,\"iteration\":1,\"step_in_epoch\":1,\"steps_per_epoch\":10,\"samples\":32,"
                "\"wait_seconds\":0.001,\"step_seconds\":0.249,\"images_per_second\":128,\"loss\":null,\"score\":5.5,"
                "\"learning_rate\":0.008}\n");
    assert_says(text, "\"train_loss\":4.5,\"val_loss\":null,\"top1\":0.125,");
    assert_says(text, "\"text\":\"ckpt-10 \\\"a\\\\b\\\"\\u000a\xc3\xa9 ????\"}\n");
    assert_says(text, "\"text\":\"refused: a\\u001b[2Jb\"}\n");
    free(text);
    text = content(csv);
    assert_string_equal(text, "epoch,iteration,train_loss,val_loss,top1,top5,images_per_second,seconds,learning_rate\n"
                              "0,10,4.5,,0.125,0.5,123,61,0.006\n");
    free(text);
    assert_string_equal(said, "epoch 1/10  loss 4.5000  top-1 12.50 %  top-5 50.00 %  123 images/s  lr 0.006  in 1:01\n"
                              "refused: a?[2Jb\n");
}

static void prints_the_performance_line(void **state)
{
    (void)state;
    struct sl_log *log = open_log((struct sl_log_options){.progress = SL_PROGRESS_NONE, .performance_every = 2});
    for (uint64_t i = 1; i <= 5; i++) {
        const struct sl_step_record step = step_at(0, i, 10);
        sl_log_step(log, &step);
    }
    assert_string_equal(
        close_log(log, SL_OK),
        "ETL: 1 ms; iteration 2; iteration time: 250 ms; samples/sec: 128.000; batches/sec: 4.000; score: 5.5;\n"
        "ETL: 1 ms; iteration 4; iteration time: 250 ms; samples/sec: 128.000; batches/sec: 4.000; score: 5.5;\n");
}

static void prints_progress_as_lines(void **state)
{
    (void)state;
    struct sl_log *log = open_log((struct sl_log_options){.progress_seconds = 1e-9, .epochs = 2});
    struct sl_step_record step = step_at(0, 1, 10);
    sl_log_step(log, &step);
    step = step_at(1, 10, 10);
    sl_log_step(log, &step);
    /* A file is no terminal. 19 steps of 0.25 s are left after the first. */
    assert_string_equal(close_log(log, SL_OK), "epoch 1/2  step 1/10  128 images/s  loss 5.2500  left 0:05\n"
                                               "epoch 2/2  step 10/10  128 images/s  loss 5.2500  left 0:00\n");
    /* Rarely, but always at the end of an epoch. */
    log = open_log((struct sl_log_options){.progress_seconds = 1000});
    for (uint64_t i = 1; i <= 10; i++) {
        step = step_at(0, i, 10);
        sl_log_step(log, &step);
    }
    assert_string_equal(close_log(log, SL_OK),
                        "epoch 1  step 10/10  128 images/s  loss 5.2500  left 0:00 of this epoch\n");
}

static void redraws_one_line_on_terminals(void **state)
{
    (void)state;
    struct sl_log *log =
        open_log((struct sl_log_options){.progress = SL_PROGRESS_REDRAWN, .progress_seconds = 1e-9, .epochs = 1});
    struct sl_step_record step = step_at(0, 1, 2);
    sl_log_step(log, &step);
    sl_log_message(log, "hello");
    step = step_at(0, 2, 2);
    step.loss = NAN;
    sl_log_step(log, &step);
    assert_string_equal(close_log(log, SL_OK), "\repoch 1/1  step 1/2  128 images/s  loss 5.2500  left 0:00\x1b[K"
                                               "\r\x1b[Khello\n"
                                               "\repoch 1/1  step 2/2  128 images/s  loss nan  left 0:00\x1b[K\n");
}

/* Numbers of three hundred digits. */
static void diverging_numbers_do_not_overflow(void **state)
{
    (void)state;
    struct sl_log *log =
        open_log((struct sl_log_options){.run = run, .performance_every = 1, .progress_seconds = 1e-9});
    struct sl_step_record step = step_at(0, 10, 10);
    step.loss = step.score = 1e308;
    step.step_seconds = 0;
    step.wait_seconds = 0;
    sl_log_step(log, &step);
    step.wait_seconds = -1e308;
    sl_log_step(log, &step);
    const struct sl_epoch_record epoch = {.train_loss = -1e308,
                                          .val_loss = 1e308,
                                          .top1 = 1e300,
                                          .top5 = 1e300,
                                          .images_per_second = 1e308,
                                          .seconds = NAN,
                                          .learning_rate = -1};
    sl_log_epoch(log, &epoch);
    assert_int_equal(count(close_log(log, SL_OK), "\n"), 5);
    char *text = content(jsonl);
    assert_int_equal(count(text, "}\n"), 3);
    assert_says(text, "\"images_per_second\":null");
    free(text);
}

static void goes_on_after_a_kill(void **state)
{
    (void)state;
    put(jsonl, "{\"event\":\"step\",\"iteration\":30}\n{\"event\":\"st");
    put(csv, "epoch,iteration,train_loss\n0,10,1\n1,20,2\n2,30,3\n3,4");
    struct sl_log *log = open_log((struct sl_log_options){.run = run});
    sl_log_resumed(log, 2, 20);
    const struct sl_epoch_record epoch = epoch_at(2);
    sl_log_epoch(log, &epoch);
    close_log(log, SL_OK);
    char *text = content(jsonl);
    assert_int_equal(
        strncmp(text, "{\"event\":\"step\",\"iteration\":30}\n{\"schema_version\":1,\"event\":\"resumed\",", 70), 0);
    assert_says(text, "\"epoch\":2,\"iteration\":20}\n");
    assert_int_equal(count(text, "\n"), 3);
    free(text);
    text = content(csv);
    assert_string_equal(text, "epoch,iteration,train_loss\n0,10,1\n1,20,2\n2,30,4.5,,0.125,0.5,123,61,0.006\n");
    free(text);
}

/* A line longer than the block in which the file is searched from its end, and nothing but an unfinished one. */
static void cuts_long_and_lone_lines(void **state)
{
    (void)state;
    char *long_line = malloc(20001);
    memset(long_line, 'x', 20000);
    long_line[20000] = '\0';
    put(jsonl, long_line);
    close_log(open_log((struct sl_log_options){.run = run}), SL_OK);
    char *text = content(jsonl);
    assert_string_equal(text, "");
    free(text);
    long_line[5000] = '\n';
    put(jsonl, long_line);
    struct sl_log *log = open_log((struct sl_log_options){.run = run});
    memset(long_line, 'y', 20000);
    long_line[0] = '\x01';
    sl_log_event(log, "long", long_line);
    close_log(log, SL_OK);
    text = content(jsonl);
    assert_int_equal(strchr(text, '\n') - text, 5000);
    assert_int_equal(count(text, "\n"), 2);
    assert_says(text, "yyyy\"}\n");
    free(text);
    free(long_line);
}

static int failures;

static int no_space(const char *step, const char *path)
{
    (void)path;
    return strcmp(step, "write") == 0 && failures-- > 0 ? ENOSPC : 0;
}

static void a_full_disk_leaves_whole_lines(void **state)
{
    (void)state;
    struct sl_log *log = open_log((struct sl_log_options){.run = run, .progress = SL_PROGRESS_NONE});
    sl_log_event(log, "one", "");
    failures = 2;
    sl_io_fault_hook = no_space;
    sl_log_event(log, "two", "");
    sl_log_event(log, "three", "");
    sl_log_event(log, "four", "");
    sl_io_fault_hook = NULL;
    const char *said = close_log(log, SL_CANNOT_CREATE);
    assert_int_equal(count(said, "warning: "), 1);
    assert_says(said, "log.jsonl: cannot write it: No space left on device; training goes on");
    char *text = content(jsonl);
    assert_int_equal(count(text, "\n"), 2);
    assert_int_equal(count(text, "}\n"), 2);
    assert_int_equal(count(text, "{\"schema_version\""), 2);
    assert_says(text, "\"event\":\"four\"");
    free(text);
}

static void refuses_what_is_no_file(void **state)
{
    (void)state;
    struct sl_log *log;
    assert_int_equal(symlink("/dev/null", jsonl), 0);
    assert_int_equal(sl_log_open(&(struct sl_log_options){.run = run}, &log), SL_CANNOT_CREATE);
    assert_null(log);
    assert_non_null(strstr(sl_last_error(), jsonl));
    unlink(jsonl);
    assert_int_equal(mkfifo(jsonl, 0600), 0);
    assert_int_equal(sl_log_open(&(struct sl_log_options){.run = run}, &log), SL_CANNOT_CREATE);
    assert_int_equal(sl_log_open(&(struct sl_log_options){.run = "/nowhere/at/all"}, &log), SL_CANNOT_CREATE);
    assert_int_equal(sl_log_close(NULL), SL_OK);
}

static void the_callers_numbers_come_last(void **state)
{
    (void)state;
    static const struct sl_log_number numbers[] = {
        {"sent", 4194304123.0}, {"tau", 0.0003125}, {"skips", 0},     {"drift", -3},
        {"low", -0.0},          {"far", 1e300},     {"unknown", NAN},
    };
    struct sl_log *log = open_log((struct sl_log_options){.run = run, .progress_seconds = 1e-9, .epochs = 1});
    struct sl_step_record step = step_at(0, 1, 10);
    step.numbers = numbers;
    step.number_count = sizeof numbers / sizeof *numbers;
    step.note = "density 0.1 %";
    sl_log_step(log, &step);
    struct sl_epoch_record epoch = epoch_at(0);
    epoch.numbers = numbers;
    epoch.number_count = 2;
    sl_log_epoch(log, &epoch);
    assert_says(close_log(log, SL_OK), "loss 5.2500  left 0:02  density 0.1 %\nepoch 1/1  loss");
    char *text = content(jsonl);
    assert_says(text,
                "\"learning_rate\":0.008,\"sent\":4194304123,\"tau\":0.0003125,\"skips\":0,\"drift\":-3,\"low\":0,"
                "\"far\":1e+300,\"unknown\":null}\n");
    assert_says(text, "\"learning_rate\":0.006,\"sent\":4194304123,\"tau\":0.0003125}\n");
    free(text);
}

static void a_silent_log_leaves_nothing(void **state)
{
    (void)state;
    struct sl_log *log = open_log((struct sl_log_options){
        .run = run, .progress = SL_PROGRESS_REDRAWN, .progress_seconds = 1e-9, .performance_every = 1, .silent = true});
    const struct sl_step_record step = step_at(0, 10, 10);
    const struct sl_epoch_record epoch = epoch_at(0);
    sl_log_resumed(log, 0, 0);
    sl_log_step(log, &step);
    sl_log_epoch(log, &epoch);
    sl_log_event(log, "event", "text");
    sl_log_message(log, "hello");
    assert_string_equal(close_log(log, SL_OK), "");
    assert_int_equal(access(jsonl, F_OK), -1);
    assert_int_equal(access(csv, F_OK), -1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(writes_records_and_rows),     CASE(prints_the_performance_line),
        CASE(prints_progress_as_lines),    CASE(redraws_one_line_on_terminals),
        CASE(goes_on_after_a_kill),        CASE(diverging_numbers_do_not_overflow),
        CASE(cuts_long_and_lone_lines),    CASE(a_full_disk_leaves_whole_lines),
        CASE(refuses_what_is_no_file),     CASE(the_callers_numbers_come_last),
        CASE(a_silent_log_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
