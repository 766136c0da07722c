# SPDX-License-Identifier: BSD-3-Clause
import json
import time

from .rounds import CPU_TO_BASELINE, Part, note, output, ratios, rotated, spread, table
from .veth import Meter, Veth, account_cells, bench_cpus, send_live_frames

CASES = [(0, 0), (1_000, 1024), (10_000, 1024), (100_000, 1024), (1_000_000, 1024), (1_000_000, 65536)]  # rate, flows


def meter_traffic(context, build, veth, rate, flows, seconds):
    """Returns the daemon's CPU seconds, wall seconds, packets sent, and the daemon's account."""
    sender_cpu, daemon_cpu = bench_cpus()
    with Meter(build, veth, daemon_cpu) as meter:
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


def shares(samples):
    """The daemon's share of a core in each sample."""
    return [used / passed for used, passed, _, _ in samples]


def bench(context):
    seconds = 2 if context.quick else 4
    samples = {build: {case: [] for case in CASES} for build in context.compared_builds}
    with Veth() as veth:
        for turn in range(context.rounds):
            for case in CASES:
                for build in rotated(samples, turn):
                    samples[build][case].append(meter_traffic(context, build, veth, *case, seconds))
            note(f"live: round {turn + 1} of {context.rounds}")
    lines = []
    of_build, *others = samples.values()
    for (rate, flows), of_case in of_build.items():
        used, passed, sent, counts = zip(*of_case)
        compared = [ratios(shares(of_case), shares(other[rate, flows])) for other in others]
        share = spread(shares(of_case), 100, 3)
        if rate:
            lines.append([f"{rate:,}", spread([s / seconds / 1000 for s in sent], 1, 1), f"{flows:,}",
                          spread([1e6 * u / s for u, s in zip(used, sent)], 1, 3), share,
                          *account_cells(sum(sent), counts), *compared])
        else:
            lines.append(["0", "-", "-", "-", share, "-", "-", "-", *compared])
    return ["64-byte UDP packets into a veth, the sender on one CPU, the daemon on another (up to 100,000/s from a packet "
            "socket, each millisecond; 1,000,000/s by live frames of an XDP program). "
            f"{seconds} s per run; CPU time from /proc/PID/task/*/schedstat, rows to tmpfs. "
            "The CPU time of the kernel is not included.\n\n" +
            table(["packets/s requested", "thousands/s sent", "flows", "daemon us CPU/packet", "% of a core",
                   "seen of sent", "in no row", "events lost", *[CPU_TO_BASELINE for _ in others]], lines)]


PART = Part("live", "CPU of the daemon at 0 to 1 million packets/s over a veth between two namespaces",
            ("Daemon",), bench, needs_root=True)
