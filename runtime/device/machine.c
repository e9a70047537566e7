/* Facts about this machine, from small text files of the kernel. */
#include "runtime/device/machine.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LENGTH = 1024, LINE_LENGTH = 512 };

static FILE *open_text(const char *root, const char *name)
{
    char path[PATH_LENGTH];
    return snprintf(path, sizeof path, "%s%s", root, name) < (int)sizeof path ? fopen(path, "re") : NULL;
}

/* The first line of a file without its newline; false if there is none. */
static bool first_line(const char *root, const char *name, char *line, int size)
{
    FILE *file = open_text(root, name);
    const bool read = file && fgets(line, size, file);
    if (file)
        fclose(file);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read;
}

/* The value behind "KEY   :" in a file of such lines. */
static bool find_value(const char *root, const char *name, const char *key, char *value, size_t size)
{
    FILE *file = open_text(root, name);
    char line[LINE_LENGTH];
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)))
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(value, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        found = true;
    }
    if (file)
        fclose(file);
    return found;
}

static uint64_t meminfo_bytes(const char *root, const char *key)
{
    char value[64];
    if (!find_value(root, "/proc/meminfo", key, value, sizeof value))
        return 0;
    return (uint64_t)strtoull(value, NULL, 10) << 10;
}

/* "32K", "1024K", "32M" */
static uint64_t parse_size(const char *text)
{
    char *end;
    const uint64_t number = strtoull(text, &end, 10);
    return *end == 'K' ? number << 10 : *end == 'M' ? number << 20 : number;
}

/* "0-3,8" */
static int count_list(const char *text)
{
    int count = 0;
    while (*text >= '0' && *text <= '9') {
        char *end;
        const long first = strtol(text, &end, 10);
        const long last = *end == '-' ? strtol(end + 1, &end, 10) : first;
        count += last >= first && last - first < 1 << 20 ? (int)(last - first) + 1 : 0;
        text = *end == ',' ? end + 1 : end;
    }
    return count;
}

static bool read_cache(const char *root, int index, struct sl_cache *cache)
{
    static const char *const names[] = {"level", "type", "size", "shared_cpu_list"};
    char path[PATH_LENGTH], lines[4][LINE_LENGTH];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, names[i]);
        if (!first_line(root, path, lines[i], sizeof lines[i]))
            return false;
    }
    *cache =
        (struct sl_cache){.level = atoi(lines[0]), .bytes = parse_size(lines[2]), .shared_by = count_list(lines[3])};
    snprintf(cache->kind, sizeof cache->kind, "%.15s", lines[1]);
    return true;
}

static int allowed_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* The choice in brackets: "always [madvise] never". */
static void read_huge_pages(const char *root, char *choice, size_t size)
{
    char line[64];
    if (!first_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line))
        return;
    const char *begin = strchr(line, '['), *end = begin ? strchr(begin, ']') : NULL;
    if (end)
        snprintf(choice, size, "%.*s", (int)(end - begin - 1), begin + 1);
}

void sl_machine_read(const char *root, struct sl_machine *machine)
{
    *machine = (struct sl_machine){0};
    find_value(root, "/proc/cpuinfo", "model name", machine->cpu_model, sizeof machine->cpu_model);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    machine->cpus_online = online > 0 ? (int)online : 0;
    machine->cpus_allowed = allowed_cpus();
    while (machine->cache_count < SL_MACHINE_CACHES &&
           read_cache(root, machine->cache_count, &machine->caches[machine->cache_count]))
        machine->cache_count++;
    machine->memory_total = meminfo_bytes(root, "MemTotal");
    machine->memory_available = meminfo_bytes(root, "MemAvailable");
    read_huge_pages(root, machine->huge_pages, sizeof machine->huge_pages);
    sl_group_limits_read(root, &machine->groups);
}

uint64_t sl_machine_memory(const char *root)
{
    struct sl_group_limits groups;
    sl_group_limits_read(root, &groups);
    uint64_t memory = meminfo_bytes(root, "MemAvailable");
    if (!memory)
        memory = meminfo_bytes(root, "MemTotal");
    return groups.memory_left && (!memory || groups.memory_left < memory) ? groups.memory_left : memory;
}

/* The first number of an environment variable such as "4" or "4,2"; 0: it has none. */
static int number_of(const char *variable)
{
    const char *text = getenv(variable);
    const long number = text ? strtol(text, NULL, 10) : 0;
    return number > 0 && number <= INT_MAX ? (int)number : 0;
}

struct sl_machine_threads sl_machine_threads(const char *root)
{
    struct sl_group_limits groups;
    sl_group_limits_read(root, &groups);
    const struct sl_machine_threads bounds[] = {
        {groups.cpus > 0 && groups.cpus < INT_MAX ? (int)ceil(groups.cpus) : 0, "the control group's quota"},
        {number_of("OMP_NUM_THREADS"), "OMP_NUM_THREADS"},
        {number_of("OMP_THREAD_LIMIT"), "OMP_THREAD_LIMIT"},
    };
    struct sl_machine_threads least = {allowed_cpus(), "the CPUs this process may use"};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].count > 0 && bounds[i].count < least.count)
            least = bounds[i];
    return least;
}
