/* Facts about this machine, from small text files of the kernel. */
#include "runtime/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_LENGTH = 512, LINE_LENGTH = 512 };

/* The first line of a file without its newline; false if there is none. */
static bool first_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    const bool read = file && fgets(line, size, file);
    if (file)
        fclose(file);
    if (read)
        line[strcspn(line, "\n")] = '\0';
    return read;
}

/* The value behind "KEY   :" in a file of such lines. */
static bool find_value(const char *path, const char *key, char *value, size_t size)
{
    FILE *file = fopen(path, "re");
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

static uint64_t meminfo_bytes(const char *key)
{
    char value[64];
    if (!find_value("/proc/meminfo", key, value, sizeof value))
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

static bool read_cache(int index, struct sl_cache *cache)
{
    static const char *const names[] = {"level", "type", "size", "shared_cpu_list"};
    char path[PATH_LENGTH], lines[4][LINE_LENGTH];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, names[i]);
        if (!first_line(path, lines[i], sizeof lines[i]))
            return false;
    }
    *cache =
        (struct sl_cache){.level = atoi(lines[0]), .bytes = parse_size(lines[2]), .shared_by = count_list(lines[3])};
    snprintf(cache->kind, sizeof cache->kind, "%.15s", lines[1]);
    return true;
}

/* Control groups, version 2: limits hold for the whole way up, so the smallest counts. */
static void read_group_limits(const char *group, struct sl_machine *machine)
{
    char folder[LINE_LENGTH + 32], path[LINE_LENGTH + 64], line[LINE_LENGTH];
    snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", group);
    for (;;) {
        snprintf(path, sizeof path, "%s/memory.max", folder);
        if (first_line(path, line, sizeof line) && line[0] != 'm') {
            const uint64_t limit = strtoull(line, NULL, 10);
            if (!machine->memory_limit || limit < machine->memory_limit)
                machine->memory_limit = limit;
        }
        snprintf(path, sizeof path, "%s/cpu.max", folder);
        double quota, period;
        if (first_line(path, line, sizeof line) && sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0)
            if (machine->cpu_quota == 0 || quota / period < machine->cpu_quota)
                machine->cpu_quota = quota / period;
        char *slash = strrchr(folder, '/');
        if (!slash || strlen(folder) <= strlen("/sys/fs/cgroup"))
            return;
        *slash = '\0';
    }
}

/* Control groups, version 1, mounted as container runtimes do. */
static void read_old_limits(struct sl_machine *machine)
{
    char line[LINE_LENGTH], period[LINE_LENGTH];
    if (first_line("/sys/fs/cgroup/memory/memory.limit_in_bytes", line, sizeof line)) {
        const uint64_t limit = strtoull(line, NULL, 10);
        if (limit < machine->memory_total) /* "no limit" is a huge number */
            machine->memory_limit = limit;
    }
    if (first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line, sizeof line) &&
        first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period) && atof(line) > 0 && atof(period) > 0)
        machine->cpu_quota = atof(line) / atof(period);
}

static void read_limits(struct sl_machine *machine)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[LINE_LENGTH];
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strncmp(line, "0::", 3))
            read_group_limits(!strcmp(line + 3, "/") ? "" : line + 3, machine);
    }
    if (file)
        fclose(file);
    if (!machine->memory_limit && machine->cpu_quota == 0)
        read_old_limits(machine);
}

void sl_machine_read(struct sl_machine *machine)
{
    *machine = (struct sl_machine){0};
    find_value("/proc/cpuinfo", "model name", machine->cpu_model, sizeof machine->cpu_model);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    machine->cpus_online = online > 0 ? (int)online : 0;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        machine->cpus_allowed = CPU_COUNT(&set);
    while (machine->cache_count < SL_MACHINE_CACHES &&
           read_cache(machine->cache_count, &machine->caches[machine->cache_count]))
        machine->cache_count++;
    machine->memory_total = meminfo_bytes("MemTotal");
    machine->memory_available = meminfo_bytes("MemAvailable");
    read_limits(machine);
}
