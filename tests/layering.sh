#!/bin/sh
# The arrows of the house, read from the #include lines:
#   apps -> models -> runtime -> kernels, apps -> comm -> kernels; nothing -> tests, bench, apps.
#   Two exceptions: fuzz targets reach the programs' own parsers, benchmarks the set-ups of operations (tests/check.h).
# The rooms of runtime/ stand on floors, and each may include only the rooms below that its row names; comm knows only
# runtime/base. No files include each other in a circle. A foreign library's header may stand only where the table
# below says, and in no public header.
#   sh tests/layering.sh ROOT         checks the tree; prints each violation, exits 1 if there is any
#   sh tests/layering.sh --self-test  plants every kind of violation and demands that it is found
set -eu

# Prints the violations of the tree at $1.
violations() {
    (cd "$1" && find kernels runtime comm models apps bench tests -type f \
        \( -name '*.c' -o -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' \) -exec grep -HE '^[ 	]*#[ 	]*include' {} + 2>/dev/null) |
        LC_ALL=C sort | awk '
    BEGIN {
        # Who may include whom, folder by folder.
        split("kernels>kernels runtime>runtime runtime>kernels comm>comm comm>kernels comm>runtime models>models " \
              "models>runtime apps>apps apps>models apps>runtime apps>comm apps>kernels " \
              "bench>bench bench>models bench>runtime bench>comm bench>kernels " \
              "tests>tests tests>models tests>runtime tests>comm tests>kernels", arrows, " ")
        for (i in arrows) arrow[arrows[i]] = 1

        # The rooms of runtime, from the ground up; a room names the rooms below it that it may include. A room may
        # name only rows above its own here, so there is no way back up and no circle.
        room("base", "")
        room("device", "base")
        room("graph", "base device")
        room("plan", "base device graph")
        room("data", "base device")
        room("prepare", "base data")
        room("store", "base device graph plan data")
        room("train", "base device graph plan data store")
        room("report", "base graph data store train")

        # Foreign headers, and the files that may have them.
        home["jpeglib.h"] = home["jpegint.h"] = home["jerror.h"] = "^runtime/data/jpeg_read\\.c$"
        home["turbojpeg.h"] = "^(runtime/data/jpeg_encode\\.c|bench/bench_loader\\.cc)$"
        home["archive.h"] = home["archive_entry.h"] = "^runtime/data/[a-z_]+\\.c$"
        home["zstd.h"] = "^runtime/data/[a-z_]+\\.c$"
        home["jansson.h"] = "^(runtime/[a-z]+/[a-z_]+|tests/test_json_memory)\\.c$"
        home["xxhash.h"] = "^runtime/base/hash\\.c$"
        home["omp.h"] = "^(runtime/device/parallel\\.c$|bench/)"
        home["hwloc.h"] = "^comm/place\\.c$"
        home["mpi.h"] = "^comm/wire_mpi\\.c$"
        # A plug-in, which uses nothing of the program, finds its own library; tests read what the fake ones counted, or stand before one.
        home["dlfcn.h"] = "^(runtime/base/module\\.c|comm/node_nccl\\.c|kernels/cuda/library_cudnn\\.cu|tests/fake_node\\.h|tests/cuda/test_cudnn(_steps)?\\.c|tests/fake/deviceless_cudnn\\.c)$"
        home["cudnn.h"] = home["cudnn_backend.h"] = "^tests/cuda/cudnn_values\\.c$"
        home["nccl.h"] = "^(comm/node_nccl|tests/fake/fake_nccl)\\.c$"
        home["argp.h"] = "^apps/cli\\.c$"
        home["cmocka.h"] = "^tests/"
        home["benchmark/benchmark.h"] = home["oneapi/dnnl/dnnl.h"] = home["oneapi/dnnl/dnnl.hpp"] = "^bench/"
        home["cuda_runtime.h"] = "^kernels/cuda/(ptx\\.cuh|plugin/[a-z]+\\.cuh?)$"
        home["nvtx3/nvToolsExt.h"] = "^kernels/cuda/plugin/ahead\\.cu$"
        home["sanitizer/common_interface_defs.h"] = "^kernels/cuda/emulated\\.cpp$"
        n = split("cmath csetjmp cstdarg cstddef cstdint cstdio cstdlib cstring vector", standard, " ")
        for (i = 1; i <= n; i++) home[standard[i]] = "^(kernels/cuda/(emulated\\.|plugin/)|tests/cuda/|bench/)"
        home["cuda_runtime_api.h"] = "(\\.cu|^tests/fake/fake_cudart\\.c|^comm/node_nccl\\.c)$"

        # Plain C, intrinsics and threads: all that kernels get. Above them POSIX and Linux as well; C++ in bench.
        plain = " assert.h cpuid.h errno.h fenv.h float.h immintrin.h inttypes.h limits.h math.h pthread.h stdalign.h " \
                "stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h "
        posix = " ctype.h dirent.h fcntl.h fnmatch.h ftw.h getopt.h glob.h libgen.h locale.h poll.h sched.h semaphore.h " \
                "setjmp.h signal.h strings.h sys/file.h sys/ioctl.h sys/mman.h sys/mount.h sys/random.h sys/resource.h sys/stat.h " \
                "sys/statfs.h sys/statvfs.h sys/syscall.h sys/sysinfo.h sys/time.h sys/types.h sys/uio.h sys/un.h sys/utsname.h " \
                "sys/wait.h sysexits.h time.h unistd.h "
    }
    function bad(why) { print file ": " header ": " why }
    function room(name, below,   names, n, i) {
        n = split(below, names, " ")
        for (i = 1; i <= n; i++) {
            if (!(names[i] in floor)) { print "the table of rooms: " name " stands below " names[i] }
            room_arrow[name ">" names[i]] = 1
        }
        floor[name] = ++floors
    }
    function folder(path) { sub("/[^/]*$", "", path); return path }
    # The room of a file of runtime: runtime/ROOM/...; "" where there is none.
    function room_of(path,   parts) { return split(path, parts, "/") > 2 ? parts[2] : "" }
    function check_rooms(to,   mine, other) {
        other = room_of(to)
        if (!(other in floor)) return bad("no room of runtime is called " other)
        if (from == "comm" && other != "base") return bad("comm may use only runtime/base")
        if (from != "runtime") return
        mine = room_of(file)
        if (!(mine in floor)) bad("lies in no room of runtime")
        else if (mine != other && !((mine ">" other) in room_arrow))
            bad("no arrow from runtime/" mine " to runtime/" other)
    }
    {
        file = substr($0, 1, index($0, ":") - 1)
        line = substr($0, index($0, ":") + 1)
        from = file; sub("/.*", "", from)
        public = file ~ /\.h$/ && file !~ /^(tests|bench|apps)\//
        if (match(line, /"[^"]*"/)) {
            header = substr(line, RSTART + 1, RLENGTH - 2)
            to = header; sub("/.*", "", to)
            if (to == header || header ~ /\.\./) bad("write the path from the root")
            else if (from == "models" && header == "kernels/base.h") next
            else if (file ~ /^tests\/fuzz\// && to == "apps") next
            else if (from == "bench" && header == "tests/check.h") next
            else if (!((from ">" to) in arrow)) bad("no arrow from " from " to " to)
            else if (header ~ /_internal\.h$/ && from != "tests" && folder(file) != folder(header))
                bad("internal to " folder(header))
            else if (to == "runtime") check_rooms(header)
            next
        }
        if (!match(line, /<[^>]*>/)) { header = line; bad("neither \"...\" nor <...>"); next }
        header = substr(line, RSTART + 1, RLENGTH - 2)
        if (header in home) {
            if (public) bad("a foreign header in a public header")
            else if (file !~ home[header]) bad("belongs in " home[header])
        } else if (index(plain, " " header " ")) next
        else if (from == "kernels" && file !~ /^kernels\/cuda\/emulated\./) bad("kernels include libc and intrinsics only")
        else if (index(posix, " " header " ")) next
        else if (!(from == "bench" && header ~ /^[a-z_]+$/)) bad("unknown header; give it a home in tests/layering.sh")
    }'
}

# Prints what tsort finds: files that include each other in a circle. A header and its source count as one, and so does
# NAME_internal.h with NAME.
circles() {
    (cd "$1" && find kernels runtime comm models apps -type f \( -name '*.c' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' \) \
        -exec grep -HE '^[ 	]*#[ 	]*include[ 	]*"' {} + 2>/dev/null) | awk '
    function unit(path) { sub(/\.[a-z]+$/, "", path); sub(/_internal$/, "", path); return path }
    {
        match($0, /"[^"]*"/)
        header = substr($0, RSTART + 1, RLENGTH - 2)
        from = unit(substr($0, 1, index($0, ":") - 1))
        if (header ~ /\.h$/ && from != unit(header)) print from, unit(header)
    }' | LC_ALL=C sort -u | { tsort 2>&1 >/dev/null || :; } | sed 's/^tsort: -: .*/files include each other in a circle:/; s/^tsort: /    /'
}

# Plants one line in one file of an otherwise empty tree; it must be found.
must_find() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n' "$2" >"$tree/$1"
    [ -n "$(violations "$tree")" ] || { echo "not found: $2 in $1"; failed=1; }
}

must_pass() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$1")"
    printf '%s\n' "$2" >"$tree/$1"
    [ -z "$(violations "$tree")" ] || { echo "refused: $2 in $1"; failed=1; }
}

self_test() {
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    failed=0
    must_find kernels/a.c '#include "runtime/graph/graph.h"'
    must_find kernels/pool/pool_ref.c '#include <unistd.h>'
    must_find runtime/a.c '#include "comm/comm.h"'
    must_find runtime/a.c '#include "apps/cli.h"'
    must_find comm/a.c '# include "runtime/graph/graph.h"'
    must_find models/a.c '#include "kernels/conv/conv.h"'
    must_find apps/a.c '#include "tests/check.h"'
    must_find apps/a.c '#include <turbojpeg.h>'
    must_find runtime/graph/a.c '#include "graph.h"'
    must_find runtime/graph/a.c '#include <cmocka.h>'
    must_find runtime/graph/a.h '#include <jansson.h>'
    must_find runtime/data/loader.c '  #include <turbojpeg.h>'
    must_find tests/test_a.c '#include <benchmark/benchmark.h>'
    must_find runtime/base/a.c '#include <curl/curl.h>'
    must_pass kernels/a.c '#include <immintrin.h>'
    must_find tests/test_a.c '#include "apps/cli.h"'
    must_pass tests/fuzz/fuzz_a.c '#include "apps/cli.h"'
    must_pass models/a.c '#include "kernels/base.h"'
    must_pass apps/a.c '#include "runtime/graph/graph.h" /* why */'
    must_find runtime/data/jpeg.c '#include <jpeglib.h>'
    must_pass runtime/data/jpeg_encode.c '#include <turbojpeg.h>'
    must_pass bench/bench_a.cc '#include <vector>'
    must_pass bench/bench_a.cc '#include "tests/check.h"'
    must_find bench/bench_a.cc '#include "tests/layer_cases.h"'
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/runtime/graph"
    echo '#include "runtime/graph/b.h"' >"$tree/runtime/graph/a.c"
    echo '#include "runtime/graph/c.h"' >"$tree/runtime/graph/b_internal.h"
    [ -z "$(circles "$tree")" ] || { echo "refused: a row of includes"; failed=1; }
    echo '#include "runtime/graph/a.h"' >"$tree/runtime/graph/c.c"
    [ -n "$(circles "$tree")" ] || { echo "not found: a circle of includes"; failed=1; }
    return $failed
}

if [ "${1:?usage: layering.sh ROOT | --self-test}" = --self-test ]; then
    self_test
else
    found=$(violations "$1"; circles "$1")
    [ -z "$found" ] || { printf '%s\n' "$found"; exit 1; }
fi
