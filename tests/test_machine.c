/* What limits this process, read from recorded trees: control groups of both versions, nested as systemd, Slurm and
 * containers nest them, and what the default number of threads follows from. */
#include <errno.h>

#include "runtime/device/machine.h"
#include "tests/data_fixture.h"

/* The tree of one case, below its own folder. */
static char root[PATH_ROOM * 2];

static void begin(const char *name)
{
    snprintf(root, sizeof root, "%s/%s", fixture_root, name);
    assert_int_equal(mkdir(root, 0777), 0);
}

static void place(const char *path, const char *text)
{
    char full[PATH_ROOM * 4];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        assert_true(mkdir(full, 0777) == 0 || errno == EEXIST);
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static const uint64_t gib = UINT64_C(1) << 30;

#define TREE "/sys/fs/cgroup"
#define MOUNT_V2 "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1_MEMORY "33 24 0:29 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory\n"
#define MOUNT_V1_CPU "34 24 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
#define OTHER_MOUNTS                                 \
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n" \
    "23 22 0:21 / /proc rw - proc proc rw\n"

/* The limits, and the file behind each; NULL: there is none. */
static void grants(uint64_t memory, const char *memory_file, double cpus, const char *cpus_file)
{
    struct sl_group_limits limits;
    sl_group_limits_read(root, &limits);
    assert_int_equal(limits.memory, memory);
    assert_string_equal(limits.memory_file, memory_file ? memory_file : "");
    if (limits.cpus < cpus || limits.cpus > cpus)
        fail_msg("%g CPUs instead of %g", limits.cpus, cpus);
    assert_string_equal(limits.cpus_file, cpus_file ? cpus_file : "");
}

static void version_2_counts_every_level(void **state)
{
    (void)state;
    begin("v2");
    place("/proc/self/cgroup", "0::/system.slice/job.slice/step.scope\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V2);
    place(TREE "/system.slice/job.slice/step.scope/memory.max", "max\n");
    place(TREE "/system.slice/job.slice/step.scope/cpu.max", "max 100000\n");
    place(TREE "/system.slice/job.slice/memory.max", "2147483648\n");
    place(TREE "/system.slice/job.slice/cpu.max", "150000 100000\n");
    place(TREE "/system.slice/memory.max", "8589934592\n");
    place(TREE "/system.slice/cpu.max", "800000 100000\n");
    grants(2 * gib, TREE "/system.slice/job.slice/memory.max", 1.5, TREE "/system.slice/job.slice/cpu.max");
    place(TREE "/system.slice/memory.max", "1073741824\n");
    place(TREE "/system.slice/cpu.max", "50000 100000\n");
    grants(gib, TREE "/system.slice/memory.max", 0.5, TREE "/system.slice/cpu.max");
    place(TREE "/system.slice/job.slice/step.scope/memory.high", "536870912\n");
    grants(gib / 2, TREE "/system.slice/job.slice/step.scope/memory.high", 0.5, TREE "/system.slice/cpu.max");
}

static void version_2_without_limits(void **state)
{
    (void)state;
    begin("v2-max");
    place("/proc/self/cgroup", "0::/user.slice\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V2);
    grants(0, NULL, 0, NULL); /* no files at all */
    place(TREE "/user.slice/memory.max", "max\n");
    place(TREE "/user.slice/cpu.max", "max 100000\n");
    grants(0, NULL, 0, NULL);
    place(TREE "/user.slice/memory.max", "");
    place(TREE "/user.slice/cpu.max", "100000\n");
    grants(0, NULL, 0, NULL);
}

/* Slurm on version 1: a folder each for user, job and step, the job's limit above the step's group. */
static void slurm_on_version_1(void **state)
{
    (void)state;
    begin("slurm");
    place("/proc/self/cgroup", "11:cpu,cpuacct:/slurm/uid_1000/job_42/step_0\n10:devices:/slurm/uid_1000/job_42\n"
                               "9:memory:/slurm/uid_1000/job_42/step_0/task_0\n1:name=systemd:/system.slice\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V1_MEMORY MOUNT_V1_CPU);
    place(TREE "/memory/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/memory/slurm/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/memory/slurm/uid_1000/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/memory/slurm/uid_1000/job_42/memory.limit_in_bytes", "4294967296\n");
    place(TREE "/memory/slurm/uid_1000/job_42/step_0/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/memory/slurm/uid_1000/job_42/step_0/task_0/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/cpu,cpuacct/slurm/cpu.cfs_quota_us", "-1\n");
    place(TREE "/cpu,cpuacct/slurm/cpu.cfs_period_us", "100000\n");
    place(TREE "/cpu,cpuacct/slurm/uid_1000/job_42/cpu.cfs_quota_us", "250000\n");
    place(TREE "/cpu,cpuacct/slurm/uid_1000/job_42/cpu.cfs_period_us", "100000\n");
    grants(4 * gib, TREE "/memory/slurm/uid_1000/job_42/memory.limit_in_bytes", 2.5,
           TREE "/cpu,cpuacct/slurm/uid_1000/job_42/cpu.cfs_quota_us");
}

static void version_1_without_limits(void **state)
{
    (void)state;
    begin("v1-max");
    place("/proc/self/cgroup", "11:cpu,cpuacct:/\n9:memory:/\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V1_MEMORY MOUNT_V1_CPU);
    place(TREE "/memory/memory.limit_in_bytes", "9223372036854771712\n");
    place(TREE "/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    place(TREE "/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    grants(0, NULL, 0, NULL);
}

/* Both side by side: the controllers stay with version 1, or some of them moved. */
static void hybrid(void **state)
{
    (void)state;
    begin("hybrid");
    place("/proc/self/cgroup", "4:memory:/jobs/7\n0::/user.slice/session\n");
    place("/proc/self/mountinfo",
          OTHER_MOUNTS MOUNT_V1_MEMORY "38 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    place(TREE "/memory/jobs/memory.limit_in_bytes", "3221225472\n");
    place(TREE "/unified/user.slice/cpu.max", "300000 100000\n");
    grants(3 * gib, TREE "/memory/jobs/memory.limit_in_bytes", 3, TREE "/unified/user.slice/cpu.max");
}

static void containers(void **state)
{
    (void)state;
    /* Version 1: the host's path, and mounts whose root is that path. */
    begin("docker-v1");
    place("/proc/self/cgroup", "9:memory:/docker/0123abcd\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS
          "33 24 0:29 /docker/0123abcd /sys/fs/cgroup/memory ro,nosuid master:10 - cgroup cgroup rw,memory\n");
    place(TREE "/memory/memory.limit_in_bytes", "1073741824\n");
    grants(gib, TREE "/memory/memory.limit_in_bytes", 0, NULL);
    /* Version 2 with a name space of its own: the root is the container. */
    begin("docker-v2");
    place("/proc/self/cgroup", "0::/\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V2);
    place(TREE "/memory.max", "1073741824\n");
    place(TREE "/cpu.max", "50000 100000\n");
    grants(gib, TREE "/memory.max", 0.5, TREE "/cpu.max");
    /* The path of the host, which does not exist below the mount: the limits stand at the mount. */
    begin("elsewhere");
    place("/proc/self/cgroup", "0::/kubepods/pod1/box\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V2);
    place(TREE "/memory.max", "1073741824\n");
    grants(gib, TREE "/memory.max", 0, NULL);
    /* A path outside the name space, and a mount of something else; another container's mount does not count where
     * our own group is seen. */
    begin("outside");
    place("/proc/self/cgroup", "0::/../other\n9:memory:/ours\n");
    place("/proc/self/mountinfo",
          OTHER_MOUNTS MOUNT_V2 MOUNT_V1_MEMORY "50 24 0:29 /theirs /mnt/theirs rw - cgroup cgroup rw,memory\n");
    place(TREE "/memory.max", "2147483648\n");
    place("/sys/fs/other/memory.max", "1024\n");
    place("/mnt/theirs/memory.limit_in_bytes", "1024\n");
    grants(2 * gib, TREE "/memory.max", 0, NULL);
}

static void odd_files(void **state)
{
    (void)state;
    begin("nothing");
    grants(0, NULL, 0, NULL);
    begin("no-mounts");
    place("/proc/self/cgroup", "0::/a\n");
    grants(0, NULL, 0, NULL);
    begin("broken");
    place("/proc/self/cgroup", "\n0\n0:\n0::\n::::\n0::/a\n9:memory:/a");
    place("/proc/self/mountinfo", "\n - \n - cgroup2\n1 2 3 - cgroup2 x y\nx - cgroup \n" OTHER_MOUNTS
                                  "30 24 0:26 / /with\\040space rw - cgroup2 cgroup2 rw");
    place("/with space/a/memory.max", "1073741824\n");
    grants(gib, "/with space/a/memory.max", 0, NULL);
}

/* ---- what follows ---- */

static void memory_that_is_left(void **state)
{
    (void)state;
    begin("memory");
    assert_int_equal(sl_machine_memory(root), 0); /* unknown */
    place("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1048576 kB\n");
    assert_int_equal(sl_machine_memory(root), 16 * gib);
    place("/proc/meminfo", "MemTotal:       16777216 kB\nMemFree: 1 kB\nMemAvailable:    8388608 kB\n");
    assert_int_equal(sl_machine_memory(root), 8 * gib);
    place("/proc/self/cgroup", "0::/a\n");
    place("/proc/self/mountinfo", MOUNT_V2);
    place(TREE "/a/memory.max", "1073741824\n");
    assert_int_equal(sl_machine_memory(root), gib);
    place(TREE "/a/memory.max", "99999999999999\n");
    assert_int_equal(sl_machine_memory(root), 8 * gib);
    place("/proc/meminfo", "nonsense");
    place(TREE "/a/memory.max", "1073741824\n");
    assert_int_equal(sl_machine_memory(root), gib);
    struct sl_machine machine;
    sl_machine_read(root, &machine);
    assert_int_equal(machine.memory_available, 0);
    assert_int_equal(machine.groups.memory, gib);
}

static void huge_pages(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"always [madvise] never\n", "madvise"}, {"always madvise [never]\n", "never"}, {"[always", ""}, {"", ""}};
    struct sl_machine machine;
    begin("pages");
    sl_machine_read(root, &machine);
    assert_string_equal(machine.huge_pages, "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        place("/sys/kernel/mm/transparent_hugepage/enabled", cases[i][0]);
        sl_machine_read(root, &machine);
        assert_string_equal(machine.huge_pages, cases[i][1]);
    }
}

/* What processes hold, a neighbour's too, is not left; what files they have read is. */
static void memory_that_neighbours_hold(void **state)
{
    (void)state;
    begin("neighbours");
    place("/proc/meminfo", "MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n");
    place("/proc/self/cgroup", "0::/job/step\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V2);
    place(TREE "/job/memory.max", "4294967296\n");
    place(TREE "/job/memory.stat", "anon 2147483648\nfile 1073741824\nshmem 1073741824\nkernel 4096\n");
    place(TREE "/job/step/memory.max", "2147483648\n");
    place(TREE "/job/step/memory.stat", "anon 4096\nfile 1073741824\n");
    grants(2 * gib, TREE "/job/step/memory.max", 0, NULL);
    assert_int_equal(sl_machine_memory(root), gib);
    place(TREE "/job/memory.stat", "anon 8589934592\n");
    assert_int_equal(sl_machine_memory(root), 1);
    place("/proc/self/cgroup", "9:memory:/job\n");
    place("/proc/self/mountinfo", OTHER_MOUNTS MOUNT_V1_MEMORY);
    place(TREE "/memory/job/memory.limit_in_bytes", "2147483648\n");
    place(TREE "/memory/job/memory.stat", "cache 1073741824\nrss 4096\ntotal_rss 536870912\ntotal_shmem 536870912\n");
    assert_int_equal(sl_machine_memory(root), gib);
}

static void bound_by(int count, const char *bound)
{
    const struct sl_machine_threads threads = sl_machine_threads(root);
    assert_int_equal(threads.count, count);
    assert_non_null(strstr(threads.bound, bound));
}

static void threads_by_default(void **state)
{
    (void)state;
    begin("threads");
    unsetenv("OMP_NUM_THREADS");
    unsetenv("OMP_THREAD_LIMIT");
    const int allowed = sl_machine_threads(root).count;
    bound_by(allowed, "CPUs this process may use");
    place("/proc/self/cgroup", "0::/a\n");
    place("/proc/self/mountinfo", MOUNT_V2);
    place(TREE "/a/cpu.max", "10000 100000\n"); /* a tenth of a CPU is still a thread */
    bound_by(1, allowed > 1 ? "quota" : "CPUs");
    if (allowed < 2)
        return;
    place(TREE "/a/cpu.max", "110000 100000\n"); /* rounded up */
    bound_by(2, allowed > 2 ? "quota" : "CPUs");
    setenv("OMP_NUM_THREADS", "1,4", 1);
    bound_by(1, "OMP_NUM_THREADS");
    setenv("OMP_NUM_THREADS", "many", 1);
    bound_by(2, allowed > 2 ? "quota" : "CPUs");
    setenv("OMP_NUM_THREADS", "1000000", 1);
    setenv("OMP_THREAD_LIMIT", "1", 1);
    bound_by(1, "OMP_THREAD_LIMIT");
    unsetenv("OMP_NUM_THREADS");
    unsetenv("OMP_THREAD_LIMIT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_2_counts_every_level),
        cmocka_unit_test(version_2_without_limits),
        cmocka_unit_test(slurm_on_version_1),
        cmocka_unit_test(version_1_without_limits),
        cmocka_unit_test(hybrid),
        cmocka_unit_test(containers),
        cmocka_unit_test(odd_files),
        cmocka_unit_test(memory_that_is_left),
        cmocka_unit_test(huge_pages),
        cmocka_unit_test(memory_that_neighbours_hold),
        cmocka_unit_test(threads_by_default),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
