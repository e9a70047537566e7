#include "runtime/device/control_group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of /proc/self/mountinfo that mounts a hierarchy. */
struct mount {
    char *root, *point;
    bool unified; /* version 2 */
    const char *options;
};

struct mounts {
    size_t count;
    struct mount *at;
};

struct reader {
    const char *root;
    struct sl_group_limits *limits;
};

/* ---- one group ---- */

/* The numbers at the beginning of FOLDER/NAME; how many there are. "max" and "-1" are none. */
static int read_numbers(const char *folder, const char *name, double numbers[2])
{
    char *path = NULL;
    int count = 0;
    if (asprintf(&path, "%s/%s", folder, name) < 0)
        return 0;
    FILE *file = fopen(path, "re");
    while (file && count < 2 && fscanf(file, "%lf", &numbers[count]) == 1 && numbers[count] > 0)
        count++;
    if (file)
        fclose(file);
    free(path);
    return count;
}

static void note_file(const struct reader *reader, const char *folder, const char *name, char file[SL_GROUP_FILE_ROOM])
{
    snprintf(file, SL_GROUP_FILE_ROOM, "%s/%s", folder + strlen(reader->root), name);
}

/* Bytes that the group's processes hold and that cannot give way: those of the two keys of its memory.stat. */
static double held_bytes(const char *folder, const char *const keys[2])
{
    char *path = NULL, key[64];
    double held = 0, bytes;
    if (asprintf(&path, "%s/memory.stat", folder) < 0)
        return 0;
    FILE *file = fopen(path, "re");
    while (file && fscanf(file, "%63s %lf", key, &bytes) == 2)
        if (!strcmp(key, keys[0]) || !strcmp(key, keys[1]))
            held += bytes;
    if (file)
        fclose(file);
    free(path);
    return held;
}

static void take_memory(const struct reader *reader, const char *folder, const char *name, double held)
{
    const double unlimited = 0x1p62; /* version 1 says so with 2^63 less a page */
    struct sl_group_limits *limits = reader->limits;
    double bytes[2];
    if (read_numbers(folder, name, bytes) < 1 || bytes[0] >= unlimited)
        return;
    const double left = bytes[0] - held > 1 ? bytes[0] - held : 1;
    if (!limits->memory_left || left < (double)limits->memory_left)
        limits->memory_left = (uint64_t)left;
    if (limits->memory && bytes[0] >= (double)limits->memory)
        return;
    limits->memory = (uint64_t)bytes[0];
    note_file(reader, folder, name, limits->memory_file);
}

static void take_cpus(const struct reader *reader, const char *folder, const char *name, double quota, double period)
{
    struct sl_group_limits *limits = reader->limits;
    if (limits->cpus > 0 && quota / period >= limits->cpus)
        return;
    limits->cpus = quota / period;
    note_file(reader, folder, name, limits->cpus_file);
}

static void read_unified(const struct reader *reader, const char *folder)
{
    static const char *const keys[2] = {"anon", "shmem"};
    const double held = held_bytes(folder, keys);
    double time[2];
    take_memory(reader, folder, "memory.max", held);
    take_memory(reader, folder, "memory.high", held); /* beyond it a process crawls */
    if (read_numbers(folder, "cpu.max", time) == 2)
        take_cpus(reader, folder, "cpu.max", time[0], time[1]);
}

static void read_version_1(const struct reader *reader, const char *folder)
{
    static const char *const keys[2] = {"total_rss", "total_shmem"};
    double quota[2], period[2];
    take_memory(reader, folder, "memory.limit_in_bytes", held_bytes(folder, keys));
    if (read_numbers(folder, "cpu.cfs_quota_us", quota) > 0 && read_numbers(folder, "cpu.cfs_period_us", period) > 0)
        take_cpus(reader, folder, "cpu.cfs_quota_us", quota[0], period[0]);
}

/* ---- from the group up to the mount ---- */

/* The part of `group` below the root of the mount; NULL: it is not below. */
static const char *below(const char *group, const char *root)
{
    const size_t n = strcmp(root, "/") ? strlen(root) : 0;
    if (strncmp(group, root, n) || (group[n] && group[n] != '/') || strstr(group, "/.."))
        return NULL;
    return group + n;
}

/* Reads every level; those that a container does not show are passed over. */
static void climb(const struct reader *reader, const struct mount *mount, const char *path)
{
    char *folder = NULL;
    if (asprintf(&folder, "%s%s%s", reader->root, mount->point, path) < 0)
        return;
    const size_t top = strlen(reader->root) + strlen(mount->point);
    for (;;) {
        (mount->unified ? read_unified : read_version_1)(reader, folder);
        char *slash = strrchr(folder, '/');
        if (strlen(folder) <= top || !slash)
            break;
        *slash = '\0';
    }
    free(folder);
}

/* Is `word` in a list like "rw,cpu,cpuacct"? */
static bool lists(const char *list, const char *word)
{
    const size_t n = strlen(word);
    while (*list) {
        const size_t length = strcspn(list, ",");
        if (length == n && !strncmp(list, word, n))
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

/* Is the hierarchy with these controllers, or none in version 2, the mounted one? */
static bool same_hierarchy(const struct mount *mount, const char *controllers)
{
    if (mount->unified)
        return !*controllers;
    return (lists(controllers, "memory") && lists(mount->options, "memory")) ||
           (lists(controllers, "cpu") && lists(mount->options, "cpu"));
}

/* The group of one line "ID:CONTROLLERS:PATH" of /proc/self/cgroup. One that no mount shows is a container's own: its
 * limits stand at the mount itself. */
static void read_group(const struct reader *reader, const struct mounts *mounts, char *line)
{
    bool found = false;
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return;
    *path++ = '\0';
    for (int outside = 0; outside < 2 && !found; outside++)
        for (size_t i = 0; i < mounts->count; i++) {
            const struct mount *mount = &mounts->at[i];
            const char *rest = outside ? "" : below(path, mount->root);
            if (!rest || !same_hierarchy(mount, controllers + 1))
                continue;
            climb(reader, mount, strcmp(rest, "/") ? rest : "");
            found = true;
        }
}

/* ---- the two files of the kernel ---- */

/* "\040" is a space: what mountinfo does to white space. In place. */
static void unescape(char *text)
{
    char *to = text;
    for (; *text; text++) {
        unsigned code;
        if (*text == '\\' && sscanf(text + 1, "%3o", &code) == 1) {
            *to++ = (char)code;
            text += 3;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* 36 35 98:0 ROOT POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS */
static bool parse_mount(char *line, struct mount *mount)
{
    char *word[5], *save, *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    tail += 3;
    mount->unified = !strncmp(tail, "cgroup2 ", 8);
    mount->options = strrchr(tail, ' ');
    if (!mount->options || (!mount->unified && strncmp(tail, "cgroup ", 7)))
        return false;
    mount->options++;
    for (int i = 0; i < 5; i++)
        if (!(word[i] = strtok_r(i ? NULL : line, " ", &save)))
            return false;
    mount->root = word[3];
    mount->point = word[4];
    unescape(mount->root);
    unescape(mount->point);
    return true;
}

/* All of a small text file, or NULL. */
static char *read_text(const char *root, const char *name)
{
    char *path = NULL, *text = NULL;
    size_t room = 0;
    if (asprintf(&path, "%s%s", root, name) < 0)
        return NULL;
    FILE *file = fopen(path, "re");
    if (file && getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = NULL;
    }
    if (file)
        fclose(file);
    free(path);
    return text;
}

/* The entries point into `text`. */
static void parse_mounts(char *text, struct mounts *mounts)
{
    char *save;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct mount mount;
        if (!parse_mount(line, &mount))
            continue;
        struct mount *at = realloc(mounts->at, (mounts->count + 1) * sizeof *at);
        if (!at)
            return;
        mounts->at = at;
        at[mounts->count++] = mount;
    }
}

void sl_group_limits_read(const char *root, struct sl_group_limits *limits)
{
    const struct reader reader = {root, limits};
    struct mounts mounts = {0};
    char *groups = read_text(root, "/proc/self/cgroup"), *table = read_text(root, "/proc/self/mountinfo"), *save;
    *limits = (struct sl_group_limits){0};
    if (groups && table) {
        parse_mounts(table, &mounts);
        for (char *line = strtok_r(groups, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
            read_group(&reader, &mounts, line);
    }
    free(mounts.at);
    free(groups);
    free(table);
}
