# SPDX-License-Identifier: BSD-3-Clause
import os
import pathlib
import sys
import time

from .rounds import DATAPATHS, Part, note, rotated, spread, table
from .veth import Meter, Veth, account_cells, bench_cpus, send_live_frames

SUSTAINED = ("--rate", 1_200_000)


def busy_seconds(cpu):
    """Returns the seconds that a CPU was busy, softirqs included, without time stolen by the hypervisor."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
            return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
    sys.exit(f"bench: no cpu{cpu} in /proc/stat")


def load_run(context, veth, datapath, seconds, *rate):
    """Sends 64-byte UDP packets of 65,536 flows. Returns the sender's report, the busy seconds of its CPU, the daemon's CPU
    seconds, and the daemon's account. datapath: None runs no meter."""
    sender_cpu, daemon_cpu = bench_cpus()

    def send():
        before = busy_seconds(sender_cpu)
        sent = send_live_frames(context, veth, sender_cpu, "--flows", 65536, "--seconds", seconds, *rate)
        return sent, busy_seconds(sender_cpu) - before

    if datapath is None:
        return *send(), 0, None
    with Meter(context, veth, daemon_cpu, datapath) as meter:
        before = meter.cpu_seconds()
        sent, busy = send()
        time.sleep(0.2)
        used = meter.cpu_seconds() - before
        return sent, busy, used, meter.stop()


def long_run(context, veth, datapath, rate):
    note(f"load: {datapath}, {context.seconds} s, {' '.join(map(str, rate)) or 'unlimited'}")
    sent, _, used, counts = load_run(context, veth, datapath, context.seconds, *rate)
    return [datapath, f"{rate[1]:,}" if rate else "unlimited", f"{sent['sent'] / sent['seconds']:,.0f}",
            f"{sent['dropped']:,}", f"{1e6 * used / sent['sent']:.3f}", *account_cells(sent["sent"], [counts])]


def lines_of(samples):
    kernel = {datapath: [1e6 * busy / sent["sent"] for sent, busy, _, _ in of_datapath]
              for datapath, of_datapath in samples.items()}
    for datapath, of_datapath in samples.items():
        sent, _, used, counts = zip(*of_datapath)
        cells = [datapath or "no meter", spread([s["sent"] / s["seconds"] / 1e6 for s in sent]),
                 spread(kernel[datapath], 1, 3)]
        if datapath:
            hooks = [a - b for a, b in zip(kernel[datapath], kernel[None])]
            daemon = [1e6 * u / s["sent"] for u, s in zip(used, sent)]
            cells += [spread(hooks, 1, 3), spread(daemon, 1, 3), spread([h + d for h, d in zip(hooks, daemon)], 1, 3),
                      *account_cells(sum(s["sent"] for s in sent), counts)]
        else:
            cells += ["-"] * 6
        yield cells


def bench(context):
    seconds = 2 if context.quick else 5
    samples = {datapath: [] for datapath in [None] + DATAPATHS}
    with Veth() as veth:
        for turn in range(context.rounds):
            for datapath in rotated(samples, turn):
                samples[datapath].append(load_run(context, veth, datapath, seconds))
            note(f"load: round {turn + 1} of {context.rounds}")
        long_runs = [long_run(context, veth, datapath, rate) for datapath in DATAPATHS for rate in ((), SUSTAINED)]
    return ["64-byte UDP packets of 65,536 flows in pseudo-random order, sent into a veth by live frames of an XDP program, as "
            "fast as one CPU sends and receives them. The daemon runs on another CPU. "
            f"{seconds} s per run. The cost of the hooks is the busy time of the first CPU per packet (/proc/stat, softirqs "
            "included) minus the same without the meter in the same round; it includes everything that runs on that CPU. The "
            "daemon's is from /proc/PID/task/*/schedstat. Target: at most 0.5 us in total.\n\n" +
            table(["datapath", "Mpackets/s", "us CPU/packet, sending CPU", "of that, hooks", "daemon us CPU/packet",
                   "hooks and daemon", "seen of sent", "in no row", "events lost"], list(lines_of(samples))) +
            f"\n{context.seconds} s each. Target: 1,200,000 packets/s without a lost event.\n\n" +
            table(["datapath", "packets/s requested", "packets/s", "dropped before the hook", "daemon us CPU/packet",
                   "seen of sent", "in no row", "events lost"], long_runs)]


PART = Part("load", "packets/s through the hooks of a veth at full load, lost events, CPU of BPF program and daemon",
            ("Full load",), bench, needs_root=True)
