#include "comm/agree.h"

#include <stdlib.h>
#include <string.h>

/* The pairs of one rank: key NUL value NUL, one after the other. */
struct list {
    const char *at;
    size_t bytes;
};

enum { SHOWN_BYTES = 160 };

/* What another rank sent, fit to be printed. */
static const char *show(const char *text, char shown[SHOWN_BYTES])
{
    size_t n = 0;
    for (; n < SHOWN_BYTES - 1 && text[n]; n++)
        shown[n] = (unsigned char)text[n] < ' ' || text[n] == 0x7f ? '?' : text[n];
    shown[n] = '\0';
    return shown;
}

static int write_list(const struct sl_agree_pair *pairs, size_t count, char **text, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i < count; i++)
        *bytes += strlen(pairs[i].key) + strlen(pairs[i].value) + 2;
    if (!(*text = malloc(*bytes + 1)))
        return sl_fail(SL_SYSTEM, "out of memory for %zu settings", count);
    char *to = *text;
    for (size_t i = 0; i < count; i++)
        to = stpcpy(stpcpy(to, pairs[i].key) + 1, pairs[i].value) + 1;
    return SL_OK;
}

/* Pairs, and each text of them ends. */
static bool list_is_sound(struct list list)
{
    size_t ends = 0;
    for (size_t i = 0; i < list.bytes; i++)
        ends += list.at[i] == '\0';
    return list.bytes == 0 || (list.at[list.bytes - 1] == '\0' && ends % 2 == 0);
}

static const char *behind(const char *text)
{
    return text + strlen(text) + 1;
}

/* NULL: the list has no such key. */
static const char *value_of(struct list list, const char *key)
{
    for (const char *at = list.at; at < list.at + list.bytes; at = behind(behind(at)))
        if (!strcmp(at, key))
            return behind(at);
    return NULL;
}

static int differ(const struct sl_group *group, int rank, const char *key, const char *mine, const char *first)
{
    char shown_key[SHOWN_BYTES], shown_first[SHOWN_BYTES], shown_mine[SHOWN_BYTES];
    return sl_fail(SL_DISAGREE, "%s is %s on rank 0 (%s) and %s on rank %d (%s)", show(key, shown_key),
                   show(first, shown_first), group->hosts[0], show(mine, shown_mine), rank, group->hosts[rank]);
}

static int lacks(const struct sl_group *group, int rank, const char *key, const char *value, int other)
{
    char shown_key[SHOWN_BYTES], shown_value[SHOWN_BYTES];
    return sl_fail(SL_DISAGREE, "%s is %s on rank %d (%s) and missing on rank %d (%s)", show(key, shown_key),
                   show(value, shown_value), other, group->hosts[other], rank, group->hosts[rank]);
}

/* In the order of rank 0's keys, then of keys that rank 0 lacks; all ranks see the same and so say the same. */
static int compare(const struct sl_group *group, const struct list *lists)
{
    const char *const end = lists[0].at + lists[0].bytes;
    for (int r = 0; r < group->size; r++)
        if (!list_is_sound(lists[r]))
            return sl_fail(SL_IO, "rank %d on %s sent settings that cannot be read", r, group->hosts[r]);
    for (const char *key = lists[0].at; key < end; key = behind(behind(key)))
        for (int r = 1; r < group->size; r++) {
            const char *value = value_of(lists[r], key);
            if (!value)
                return lacks(group, r, key, behind(key), 0);
            if (strcmp(value, behind(key)) != 0)
                return differ(group, r, key, value, behind(key));
        }
    for (int r = 1; r < group->size; r++)
        for (const char *key = lists[r].at; key < lists[r].at + lists[r].bytes; key = behind(behind(key)))
            if (!value_of(lists[0], key))
                return lacks(group, 0, key, behind(key), r);
    return SL_OK;
}

static int compare_parts(const struct sl_group *group, const char *all, const size_t *offsets)
{
    struct list *lists = calloc((size_t)group->size, sizeof *lists);
    if (!lists)
        return sl_fail(SL_SYSTEM, "out of memory for the settings of %d ranks", group->size);
    for (int r = 0; r < group->size; r++)
        lists[r] = (struct list){all + offsets[r], offsets[r + 1] - offsets[r]};
    const int rc = compare(group, lists);
    free(lists);
    return rc;
}

int sl_agree_pairs(const struct sl_group *group, const struct sl_agree_pair *pairs, size_t count)
{
    int rc = SL_OK;
    char *mine = NULL;
    void *all = NULL;
    size_t bytes = 0, *offsets = NULL;
    if (!group || group->size == 1)
        return SL_OK;
    SL_TRY(write_list(pairs, count, &mine, &bytes));
    if (!(offsets = calloc((size_t)group->size + 1, sizeof *offsets)))
        SL_FAIL(SL_SYSTEM, "out of memory for the settings of %d ranks", group->size);
    SL_TRY(group->gather_parts(group->self, mine, bytes, &all, offsets));
    SL_TRY(compare_parts(group, all, offsets));
out:
    free(all);
    free(offsets);
    free(mine);
    return rc;
}
