/* starling-doctor: what was built in, what this machine has, which kernel each operation would get and why not a better
 * one, and whether a kernel and a folder do what they should. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "apps/cli.h"
#include "apps/cli_device.h"
#include "apps/doctor_parts.h"
#include "kernels/kernels.h"
#include "runtime/base/clock.h"
#include "runtime/base/file_io.h"
#include "runtime/device/machine.h"
#include "runtime/plan/precision.h"
#include "runtime/plan/selection.h"

static void print_build(void)
{
    printf("built\n  version            %s\n  compiler           %s\n  libraries          %s\n", SL_VERSION,
           SL_COMPILER, SL_LIBRARIES);
#ifdef _OPENMP
    printf("  threads            OpenMP %d\n", _OPENMP);
#endif
}

static void print_machine(void)
{
    struct sl_machine machine;
    sl_machine_read("", &machine);
    printf("machine\n  processor          %s\n", machine.cpu_model[0] ? machine.cpu_model : "unknown");
    printf("  instruction sets   %s\n", sl_isa_text(sl_isa_detect()));
    printf("  cores              %d online, %d allowed", machine.cpus_online, machine.cpus_allowed);
    if (machine.groups.cpus > 0)
        printf(", control group grants the time of %.2f (%s)", machine.groups.cpus, machine.groups.cpus_file);
    const struct sl_machine_threads threads = sl_machine_threads("");
    printf("\n  threads            %d by default: %s", threads.count, threads.bound);
    for (int i = 0; i < machine.cache_count; i++) {
        const struct sl_cache *cache = &machine.caches[i];
        printf("\n  cache L%d %-12s%" PRIu64 " KiB, shared by %d", cache->level, cache->kind, cache->bytes >> 10,
               cache->shared_by);
    }
    printf("\n  memory             %.1f GiB, %.1f GiB available", (double)machine.memory_total / 0x1p30,
           (double)machine.memory_available / 0x1p30);
    if (machine.groups.memory)
        printf(", control group grants %.2f GiB (%s), of which %.2f are left", (double)machine.groups.memory / 0x1p30,
               machine.groups.memory_file, (double)machine.groups.memory_left / 0x1p30);
    printf("\n  huge pages         %s%s\n", machine.huge_pages[0] ? machine.huge_pages : "unknown",
           strcmp(machine.huge_pages, "never") ? "" : ": steps take a few hundredths longer than with madvise");
}

extern char **environ;

static void print_overrides(void)
{
    int count = 0;
    puts("overrides");
    for (char **at = environ; *at; at++)
        if (!strncmp(*at, "SL_", 3) || !strncmp(*at, "OMP_", 4))
            count += printf("  %s\n", *at) > 0;
    if (!count)
        puts("  none (SL_ISA, SL_KERNEL, SL_VERBOSE, SL_BACKEND_PRIORITY_..., SL_WIRE, SL_MODULE_PATH, SL_CACHE_DIR, "
             "OMP_...)");
}

/* Writes, syncs and renames one small file, as a checkpoint does. */
static int write_durably(const char *folder, const char *temporary, const char *path)
{
    static const char content[1 << 20];
    int rc = SL_OK, fd = -1;
    SL_TRY(sl_io_create(temporary, &fd));
    SL_TRY(sl_io_write(fd, temporary, content, sizeof content));
    SL_TRY(sl_io_sync_close(&fd, temporary));
    SL_TRY(sl_io_rename(temporary, path));
    SL_TRY(sl_io_sync_folder(folder));
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static int check_output(const char *folder)
{
    int rc = SL_OK;
    char name[64], *temporary = NULL, *path = NULL;
    struct statvfs space;
    if (statvfs(folder, &space))
        SL_FAIL(SL_CANNOT_CREATE, "%s: %s; create the folder or name another", folder, strerror(errno));
    snprintf(name, sizeof name, ".starling-doctor-%ld.tmp", (long)getpid());
    SL_TRY(sl_io_join(folder, name, &temporary));
    *strrchr(name, '.') = '\0';
    SL_TRY(sl_io_join(folder, name, &path));
    const double begin = sl_clock();
    rc = write_durably(folder, temporary, path);
    const double took = sl_clock() - begin;
    unlink(temporary);
    unlink(path);
    SL_TRY(rc);
    printf("output %s\n  free               %.1f GiB\n  write+sync+rename  1 MiB in %.1f ms\n", folder,
           (double)space.f_bavail * (double)space.f_frsize / 0x1p30, 1e3 * took);
out:
    free(temporary);
    free(path);
    return rc;
}

int main(int argc, char **argv)
{
    const char *output = NULL, *kernels = "shipped", *precision = "fp32";
    const struct cli_option options[] = {
        {"kernels", "NAME", CLI_KERNELS_HELP, .kind = CLI_CHOICE, .value = &kernels, .choices = SL_POLICY_CHOICES},
        {"precision", SL_PRECISION_CHOICES,
         "Of activations: fp32, or bf16, which is half the memory and rounds more (default fp32)", .kind = CLI_CHOICE,
         .value = &precision, .choices = SL_PRECISION_CHOICES},
        {"output", "DIR", "Also check that checkpoints can be written there", .kind = CLI_TEXT, .value = &output},
        {0}};
    const struct cli_program program = {
        .summary = "What was built in, what this machine has, what would be chosen and why.", .options = options};
    struct cli_rest rest;
    int rc = SL_OK;
    cli_parse(&program, argc, argv, &rest);
    print_build();
    print_machine();
    print_overrides();
    sl_doctor_print_backends();
    sl_doctor_print_nodes();
    SL_TRY(sl_doctor_print_wires());
    SL_TRY(sl_doctor_print_kernels(kernels, sl_precision_find(precision)));
    SL_TRY(sl_doctor_self_test());
    if (output)
        SL_TRY(check_output(output));
out:
    return cli_end(rc);
}
