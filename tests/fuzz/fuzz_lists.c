/* TinyImageNet's wnids.txt, words.txt and val_annotations.txt, with a line "%%" between them, over a folder of two
 * classes -> sl_scan_open. */
#include "runtime/prepare/scan.h"
#include "tests/fuzz/fuzz.h"

static const char *const lists[] = {"wnids.txt", "words.txt", "val/val_annotations.txt"};
enum { LISTS = sizeof lists / sizeof *lists };

static void put_images(void)
{
    fuzz_put("train/n1/images/n1_0.JPEG", "", 0);
    fuzz_put("train/n2/images/n2_0.JPEG", "", 0);
    fuzz_put("val/images/val_0.JPEG", "", 0);
    fuzz_put("val/images/val_1.JPEG", "", 0);
}

static void judge_images(const struct sl_image_list *list, size_t class_count)
{
    for (size_t i = 0; i < list->count; i++) {
        FUZZ_MUST(list->at[i].label >= 0 && (size_t)list->at[i].label < class_count);
        FUZZ_MUST(list->at[i].key[0] && !strpbrk(list->at[i].key, "./"));
        FUZZ_MUST(access(list->at[i].path, F_OK) == 0);
    }
}

static void judge(bool skip_missing)
{
    const struct sl_scan_options options = {.folder = fuzz_folder, .val_fraction = -1, .skip_missing = skip_missing};
    struct sl_scan scan;
    if (sl_scan_open(&options, &scan) != SL_OK)
        return;
    FUZZ_MUST(scan.class_count >= 2 && scan.train.count >= 2);
    for (size_t i = 0; i < scan.class_count; i++)
        FUZZ_MUST(scan.classes[i].id[0] && scan.classes[i].words[0]);
    judge_images(&scan.train, scan.class_count);
    judge_images(&scan.val, scan.class_count);
    sl_scan_close(&scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const char between[] = "%%\n";
    if (!fuzz_folder[0]) {
        fuzz_enter();
        put_images();
    }
    for (int i = 0; i < LISTS; i++) {
        const uint8_t *cut = length ? memmem(bytes, length, between, strlen(between)) : NULL;
        const size_t n = cut && i + 1 < LISTS ? (size_t)(cut - bytes) : length;
        fuzz_put(lists[i], bytes, n);
        const size_t next = n < length ? n + strlen(between) : n;
        bytes += next;
        length -= next;
    }
    judge(false);
    judge(true);
    return 0;
}
