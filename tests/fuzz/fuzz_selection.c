/* What a cache of kernels or a checkpoint says of rows -> sl_selection_from_json. What is accepted is written and read
 * again, and can be wished for. */
#include "runtime/device/parallel.h"
#include "runtime/plan/selection.h"
#include "tests/fuzz/fuzz.h"

static void write_and_read(const struct sl_selection *rows)
{
    struct sl_selection again;
    char *text;
    FUZZ_MUST(sl_selection_to_json(rows, "here", &text) == SL_OK);
    FUZZ_MUST(sl_selection_from_json(text, strlen(text), "here", SL_SOURCE_CACHE, &again) == SL_OK);
    FUZZ_MUST(again.count == rows->count && again.policy == rows->policy);
    for (size_t i = 0; i < again.count; i++) {
        const struct sl_selected *was = sl_selection_find(rows, again.list[i].key);
        FUZZ_MUST(was && !strcmp(was->row, again.list[i].row));
        FUZZ_MUST(was->microseconds == again.list[i].microseconds && was->other == again.list[i].other);
    }
    sl_selection_close(&again);
    free(text);
}

static void wish(struct sl_selection *rows)
{
    static const unsigned char shape[SL_SHAPE_BYTES];
    const struct sl_device device = {.rows = sl_kernel_rows, .row_count = sl_kernel_row_count};
    char why[SL_WHY_BYTES];
    struct sl_wish wish;
    if (rows->count == 0)
        return;
    sl_selection_key(SL_OP_conv2d_fwd, shape, true, rows->list[0].key);
    sl_selection_wish(rows, &device, SL_OP_conv2d_fwd, shape, true, why, &wish);
    FUZZ_MUST(strlen(why) < sizeof why);
    FUZZ_MUST(!wish.row || !strcmp(wish.row->name, rows->list[0].row));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct sl_selection rows;
    char *copy = fuzz_copy(bytes, length, 0);
    if (sl_selection_from_json(copy, length, "here", SL_SOURCE_CACHE, &rows) == SL_OK) {
        write_and_read(&rows);
        wish(&rows);
    }
    sl_selection_close(&rows);
    free(copy);
    return 0;
}
