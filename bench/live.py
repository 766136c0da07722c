# SPDX-License-Identifier: BSD-3-Clause
import json
import time

from .rounds import Part, note, output, spread, table
from .veth import Meter, Veth, account_cells, bench_cpus, send_live_frames

CASES = [(0, 0), (1_000, 1024), (10_000, 1024), (100_000, 1024), (1_000_000, 1024), (1_000_000, 65536)]  # rate, flows


def meter_traffic(context, veth, rate, flows, seconds):
    """Returns the daemon's CPU seconds, wall seconds, packets sent, and the daemon's account."""
    sender_cpu, daemon_cpu = bench_cpus()
    with Meter(context, veth, daemon_cpu) as meter:
        before, start = meter.cpu_seconds(), time.monotonic()
        if rate > 200_000:
            sent = send_live_frames(context, veth, sender_cpu, "--rate", rate, "--flows", flows, "--seconds",
                                    seconds)["sent"]
        elif rate:
            sent = json.loads(output(*veth.command(0, sender_cpu, context.tools / "send_bench_packets", "sender", rate,
                                                   flows, seconds)))["sent"]
        else:
            sent = 0
            time.sleep(seconds)
        time.sleep(0.2)  # the longest pause between drains is 50 ms
        used, passed = meter.cpu_seconds() - before, time.monotonic() - start
        return used, passed, sent, meter.stop()


def bench(context):
    seconds = 2 if context.quick else 4
    samples = {case: [] for case in CASES}
    with Veth() as veth:
        for turn in range(context.rounds):
            for case in CASES:
                samples[case].append(meter_traffic(context, veth, *case, seconds))
            note(f"live: round {turn + 1} of {context.rounds}")
    lines = []
    for (rate, flows), of_case in samples.items():
        used, passed, sent, counts = zip(*of_case)
        share = spread([100 * u / p for u, p in zip(used, passed)], 1, 3)
        if rate:
            lines.append([f"{rate:,}", spread([s / seconds / 1000 for s in sent], 1, 1), f"{flows:,}",
                          spread([1e6 * u / s for u, s in zip(used, sent)], 1, 3), share,
                          *account_cells(sum(sent), counts)])
        else:
            lines.append(["0", "-", "-", "-", share, "-", "-", "-"])
    return ["64-byte UDP packets into a veth, the sender on one CPU, the daemon on another (up to 100,000/s from a packet "
            "socket, each millisecond; 1,000,000/s by live frames of an XDP program). "
            f"{seconds} s per run; CPU time from /proc/PID/task/*/schedstat, rows to tmpfs. "
            "The CPU time of the kernel is not included.\n\n" +
            table(["packets/s requested", "thousands/s sent", "flows", "daemon us CPU/packet", "% of a core",
                   "seen of sent", "in no row", "events lost"], lines)]


PART = Part("live", "CPU of the daemon at 0 to 1 million packets/s over a veth between two namespaces",
            ("Daemon",), bench, needs_root=True)
