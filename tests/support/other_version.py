# SPDX-License-Identifier: BSD-3-Clause
"""Builds the program once more, from a copy of its sources in which the maps have other layouts: a version from before an
upgrade. Members are inserted, exchanged and widened in all structs that outlive a program."""
import fcntl
import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCES = ("CMakeLists.txt", "LICENSE", "README.md", "CONTRIBUTING.md", "bpf", "docs", "include", "packaging", "scripts", "user")
# (file, text, what it becomes), each exactly once.
EDITS = (
    # An element of the map stays a whole number of cache lines.
    ("include/flowmeter/abi.h", "  __u64 tag;  /* fm_key_tag", "  __u64 inserted[8];\n  __u64 tag;  /* fm_key_tag"),
    ("include/flowmeter/abi.h", "  __u32 ifindex;     /* where the flow's first packet was seen */\n  __u8 hook;\n",
     "  __u8 hook;\n  __u8 inserted[3];\n  __u32 ifindex;\n"),
    ("include/flowmeter/abi.h", "  __u8 announced; /* the daemon", "  __u8 inserted_too[29];\n  __u8 announced; /* the daemon"),
    ("include/flowmeter/abi.h", "sizeof(struct fm_state_record) == 32 + 40 + 16", "sizeof(struct fm_state_record) == 32 + 40 + 48"),
    ("include/flowmeter/abi.h", "  __u16 header_bytes;\n  __u16 window;", "  __u16 window;\n  __u16 header_bytes;"),
    ("include/flowmeter/abi.h", "  struct fm_output_position outputs[FM_JOURNAL_OUTPUTS];",
     "  __u64 inserted;\n  struct fm_output_position outputs[FM_JOURNAL_OUTPUTS];"),
    ("include/flowmeter/abi.h", "  __u64 commits;\n", "  __u64 inserted[3];\n  __u64 commits;\n"),
    ("include/flowmeter/abi.h", "  __u64 head;\n  __u64 zero[7];", "  __u64 zero[7];\n  __u64 head;"),
    ("include/flowmeter/abi.h", "  __u64 seen;      /* packets", "  __u64 inserted;\n  __u64 seen;      /* packets"),
    ("include/flowmeter/flow_counters.h", "  __u64 header_bytes;\n  __u64 payload_bytes;\n",
     "  __u64 payload_bytes;\n  __u64 header_bytes;\n"),
    ("include/flowmeter/flow_counters.h", "  __u64 first_ns;\n  __u64 last_ns;          /*", "  __u64 last_ns;\n  __u64 first_ns; /*"),
)


def _write_sources(directory):
    os.makedirs(directory, exist_ok=True)
    for name in SOURCES:
        source, target = os.path.join(ROOT, name), os.path.join(directory, name)
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True)  # keeps the times, so little is built again
        else:
            shutil.copy2(source, target)
    texts = {}
    for name, old, new in EDITS:
        path = os.path.join(directory, name)
        if path not in texts:
            with open(path, encoding="utf-8") as file:
                texts[path] = file.read()
        if texts[path].count(old) != 1:
            raise AssertionError(f"{name} must have this once: {old}")
        texts[path] = texts[path].replace(old, new)
    for path, text in texts.items():
        times = os.stat(path)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def build(meter_path):
    """The path of the program, built in a folder beside the one under test."""
    directory = os.path.join(os.path.dirname(os.path.abspath(meter_path)), "other-version")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources, target = os.path.join(directory, "sources"), os.path.join(directory, "build")
        _write_sources(sources)
        for command in (("cmake", "-S", sources, "-B", target, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DFLOWMETER_TESTS=OFF",
                         f"-DFLOWMETER_CLANG={_clang(meter_path)}"),
                        ("cmake", "--build", target, "--target", "flowmeter-ebpf", "-j", str(os.cpu_count()))):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise AssertionError(f"{' '.join(command)}: {done.stdout[-4000:]}{done.stderr[-4000:]}")
    return os.path.join(target, "flowmeter-ebpf")


def _clang(meter_path):
    """The compiler of the BPF programs that the build under test uses."""
    with open(os.path.join(os.path.dirname(os.path.abspath(meter_path)), "CMakeCache.txt"), encoding="utf-8") as cache:
        return re.search(r"^FLOWMETER_CLANG:\w+=(.*)$", cache.read(), re.M)[1]
