/* A text -> the value of every kind of option, a learning rate schedule, SL_KERNEL and SL_ISA. */
#include <math.h>

#include "apps/cli.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/kernels.h"
#include "kernels/launch.h"
#include "runtime/device/parallel.h"
#include "runtime/train/schedule.h"
#include "runtime/train/updater.h"
#include "tests/fuzz/fuzz.h"

static void judge_values(const char *text)
{
    const char *word = NULL;
    int64_t whole = 0;
    double real = 0;
    uint64_t bytes = 0;
    const struct cli_option options[] = {
        {"text", "T", "", .kind = CLI_TEXT, .value = &word},
        {"choice", "C", "", .kind = CLI_CHOICE, .value = &word, .choices = "none|zstd"},
        {"whole", "N", "", .kind = CLI_INT, .value = &whole, .least = 1, .most = 1000},
        {"real", "X", "", .kind = CLI_DOUBLE, .value = &real, .least = -1, .most = 1},
        {"bytes", "B", "", .kind = CLI_BYTES, .value = &bytes, .least = 0, .most = 0},
    };
    FUZZ_MUST(cli_take(&options[0], text) == (*text != '\0'));
    FUZZ_MUST(!cli_take(&options[1], text) || !strcmp(word, "none") || !strcmp(word, "zstd"));
    FUZZ_MUST(!cli_take(&options[2], text) || (whole >= 1 && whole <= 1000));
    FUZZ_MUST(!cli_take(&options[3], text) || (real >= -1 && real <= 1));
    FUZZ_MUST(!cli_take(&options[4], text) || (text[0] >= '0' && text[0] <= '9'));
}

static void judge_schedule(const char *text)
{
    struct sl_schedule schedule;
    if (sl_schedule_parse(text, &schedule) != SL_OK)
        return;
    FUZZ_MUST(schedule.count >= 1 && schedule.count <= SL_SCHEDULE_MAX && schedule.epochs[0] == 0);
    for (int32_t i = 0; i < schedule.count; i++)
        FUZZ_MUST(sl_schedule_rate(&schedule, (uint64_t)schedule.epochs[i]) == schedule.rates[i]);
    FUZZ_MUST(isfinite(sl_schedule_rate(&schedule, UINT64_MAX)));
}

/* By putenv, because setenv never frees. */
static void judge_environment(const char *name, const char *text)
{
    const struct sl_flat any = {1, SL_ELEMENT_F32};
    struct sl_device device;
    struct sl_choice choice;
    char *setting;
    FUZZ_MUST(asprintf(&setting, "%s=%s", name, text) > 0 && putenv(setting) == 0);
    FUZZ_MUST((sl_isa() & ~sl_isa_detect()) == 0);
    const int rc = sl_device_cpu_open(1, &device);
    FUZZ_MUST(rc == SL_OK || rc == SL_BAD_CONFIG);
    if (rc == SL_OK) {
        FUZZ_MUST(sl_choose_accumulate(&device, &any, &choice) == SL_OK);
        sl_choice_close(&choice);
        device.close(device.self);
    }
    FUZZ_MUST(unsetenv(name) == 0);
    free(setting);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    char *text = fuzz_copy(bytes, length, 0);
    text[length] = '\0';
    judge_values(text);
    judge_schedule(text);
    judge_environment("SL_KERNEL", text);
    judge_environment("SL_ISA", text);
    FUZZ_MUST(sl_updater_find(text) < 0 || !strcmp(sl_updater_name((enum sl_updater_kind)sl_updater_find(text)), text));
    free(text);
    return 0;
}
