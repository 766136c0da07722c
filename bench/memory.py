# SPDX-License-Identifier: BSD-3-Clause
import os
import pathlib
import re
import time

from .rounds import DATAPATHS, Part, note, table
from .veth import Meter, Veth, bench_cpus, send_live_frames

MAP_KINDS = {1: "hash", 2: "array", 6: "per-CPU array", 9: "LRU hash", 27: "ring buffer"}  # enum bpf_map_type
MIB = 2**20


def kernel_maps(pid):
    """Returns (kind, facts) of each BPF map of the process; memlock is the memory that the kernel accounts for it, in bytes."""
    maps = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        if "bpf-map" not in os.readlink(fd):
            continue
        facts = dict(re.findall(r"^(\w+):\s*(\S+)", (fd.parent.parent / "fdinfo" / fd.name).read_text(), re.MULTILINE))
        maps[facts["map_id"]] = (MAP_KINDS.get(int(facts["map_type"]), "other"), {k: int(facts[k], 0) for k in
                                 ("key_size", "value_size", "max_entries", "memlock")})
    return list(maps.values())


def map_formula(kind, facts):
    """Returns the size of a preallocated map: per entry 48 bytes, key and value; per bucket 16 bytes. The number of buckets
    is the next power of two of the number of entries."""
    if kind not in ("hash", "LRU hash"):
        return facts["memlock"]
    entry = 48 + (facts["key_size"] + 7) // 8 * 8 + (facts["value_size"] + 7) // 8 * 8
    return facts["max_entries"] * entry + 16 * (1 << (facts["max_entries"] - 1).bit_length())


def daemon_memory(pid):
    """Returns resident and proportional bytes without the mapped event streams, which count as the kernel's memory."""
    rss = pss = 0
    stream = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            stream = "bpf-map" in line
        elif not stream and line.startswith("Rss:"):
            rss += int(line.split()[1]) * 1024
        elif not stream and line.startswith("Pss:"):
            pss += int(line.split()[1]) * 1024
    return rss, pss


def hold_flows(context, veth, datapath, flows):
    """Returns the flows held, the daemon's resident bytes, and the line of the table."""
    sender_cpu, daemon_cpu = bench_cpus()
    note(f"memory: {datapath}, {flows:,} flows")
    with Meter(context.build, veth, daemon_cpu, datapath, ["--max-flows", str(context.max_flows)]) as meter:
        sent = send_live_frames(context, veth, sender_cpu, "--rate", 200_000, "--flows",
                                1 << (flows - 1).bit_length(), "--packets", flows)
        time.sleep(0.5)
        maps = kernel_maps(meter.process.pid)
        rss, pss = daemon_memory(meter.process.pid)
        counts = meter.stop()
    of_kind = {}
    for kind, facts in maps:
        of_kind[kind] = of_kind.get(kind, 0) + facts["memlock"]
    kernel = sum(of_kind.values())
    formula = sum(map_formula(kind, facts) for kind, facts in maps)
    return counts["flows"], rss, [
        datapath, f"{counts['flows']:,} of {sent['sent']:,}", f"{kernel / MIB:.1f}",
        ", ".join(f"{kind} {size / MIB:.1f}" for kind, size in of_kind.items() if size > MIB),
        f"{formula / MIB:.1f}", f"{rss / MIB:.1f}", f"{pss / MIB:.1f}", f"{(kernel + rss) / MIB:.1f}"]


def bench(context):
    lines = []
    with Veth() as veth:
        for datapath in DATAPATHS:
            held = [hold_flows(context, veth, datapath, flows) for flows in sorted({1024, 65536, context.max_flows})]
            (few, least, _), (many, most, _) = held[0], held[-1]
            lines += [line for _, _, line in held]
            lines.append([datapath, "each additional flow", "0", "", "", f"{(most - least) / (many - few):.0f} bytes", "", ""])
    return [f"MiB, with --max-flows {context.max_flows:,} and flows of one packet each. Kernel: memlock from the maps' fdinfo. "
            "Formula: for each hash map, entries x (48 + key + value) + 16 x buckets (the next power of two); the memlock of "
            "other maps. Daemon: /proc/PID/smaps without the mapped event streams, which are the kernel's.\n\n" +
            table(["datapath", "flows held of sent", "kernel", "of that", "formula", "daemon RSS", "daemon PSS",
                   "kernel + RSS"], lines)]


PART = Part("memory", "kernel maps and daemon at 1 thousand, 65 thousand and --max-flows flows",
            ("Memory",), bench, needs_root=True)
