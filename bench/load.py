# SPDX-License-Identifier: BSD-3-Clause
import os
import pathlib
import sys
import time

from .rounds import CPU_TO_BASELINE, DATAPATHS, Part, note, ratios, rotated, spread, table
from .veth import Meter, Veth, account_cells, bench_cpus, send_live_frames

SUSTAINED = ("--rate", 1_200_000)


def busy_seconds(cpu):
    """Returns the seconds that a CPU was busy, softirqs included, without time stolen by the hypervisor."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
            return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    sys.exit(f"bench: no cpu{cpu} in /proc/stat")


def load_run(context, build, veth, datapath, seconds, *rate):
    """Sends 64-byte UDP packets of 65,536 flows. Returns the sender's report, the busy seconds of its CPU, the daemon's CPU
    seconds, and the daemon's account. datapath: None runs no meter."""
    sender_cpu, daemon_cpu = bench_cpus()

    def send():
        before = busy_seconds(sender_cpu)
        sent = send_live_frames(context, veth, sender_cpu, "--flows", 65536, "--seconds", seconds, *rate)
        return sent, busy_seconds(sender_cpu) - before

    if datapath is None:
        return *send(), 0, None
    with Meter(build, veth, daemon_cpu, datapath) as meter:
        before = meter.cpu_seconds()
        sent, busy = send()
        time.sleep(0.2)
        used = meter.cpu_seconds() - before
        return sent, busy, used, meter.stop()


def long_run(context, veth, datapath, rate):
    note(f"load: {datapath}, {context.seconds} s, {' '.join(map(str, rate)) or 'unlimited'}")
    sent, _, used, counts = load_run(context, context.build, veth, datapath, context.seconds, *rate)
    return [datapath, f"{rate[1]:,}" if rate else "unlimited", f"{sent['sent'] / sent['seconds']:,.0f}",
            f"{sent['dropped']:,}", f"{1e6 * used / sent['sent']:.3f}", *account_cells(sent["sent"], [counts])]


def kernel_us(of_run):
    """CPU us per packet of the sending CPU, in each round."""
    return [1e6 * busy / sent["sent"] for sent, busy, _, _ in of_run]


def daemon_us(of_run):
    return [1e6 * used / sent["sent"] for sent, _, used, _ in of_run]


def both_us(of_run):
    return [kernel + daemon for kernel, daemon in zip(kernel_us(of_run), daemon_us(of_run))]


def lines_of(samples, builds):
    build, *others = builds
    without = samples[build, None]
    for datapath in [None] + DATAPATHS:
        of_run = samples[build, datapath]
        sent, _, _, counts = zip(*of_run)
        cells = [datapath or "no meter", spread([s["sent"] / s["seconds"] / 1e6 for s in sent]),
                 spread(kernel_us(of_run), 1, 3)]
        if datapath:
            hooks = [a - b for a, b in zip(kernel_us(of_run), kernel_us(without))]
            daemon = daemon_us(of_run)
            cells += [spread(hooks, 1, 3), spread(daemon, 1, 3), spread([h + d for h, d in zip(hooks, daemon)], 1, 3),
                      *account_cells(sum(s["sent"] for s in sent), counts),
                      *[ratios(both_us(of_run), both_us(samples[other, datapath])) for other in others]]
        else:
            cells += ["-"] * (6 + len(others))
        yield cells


def bench(context):
    seconds = 2 if context.quick else 5
    builds = context.compared_builds
    samples = {(context.build, None): [], **{(build, datapath): [] for datapath in DATAPATHS for build in builds}}
    with Veth() as veth:
        for turn in range(context.rounds):
            for build, datapath in rotated(samples, turn):
                samples[build, datapath].append(load_run(context, build, veth, datapath, seconds))
            note(f"load: round {turn + 1} of {context.rounds}")
        long_runs = [long_run(context, veth, datapath, rate) for datapath in DATAPATHS for rate in ((), SUSTAINED)]
    return ["64-byte UDP packets of 65,536 flows in pseudo-random order, sent into a veth by live frames of an XDP program, as "
            "fast as one CPU sends and receives them. The daemon runs on another CPU. "
            f"{seconds} s per run. The cost of the hooks is the busy time of the first CPU per packet (/proc/stat, softirqs "
            "included) minus the same without the meter in the same round; it includes everything that runs on that CPU. The "
            "daemon's is from /proc/PID/task/*/schedstat. Target: at most 0.5 us in total.\n\n" +
            table(["datapath", "Mpackets/s", "us CPU/packet, sending CPU", "of that, hooks", "daemon us CPU/packet",
                   "hooks and daemon", "seen of sent", "in no row", "events lost",
                   *[f"{CPU_TO_BASELINE}, sending and daemon" for _ in builds[1:]]], list(lines_of(samples, builds))) +
            f"\n{context.seconds} s each. Target: 1,200,000 packets/s without a lost event.\n\n" +
            table(["datapath", "packets/s requested", "packets/s", "dropped before the hook", "daemon us CPU/packet",
                   "seen of sent", "in no row", "events lost"], long_runs)]


PART = Part("load", "packets/s through the hooks of a veth at full load, lost events, CPU of BPF program and daemon",
            ("Full load",), bench, needs_root=True)
