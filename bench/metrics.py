# SPDX-License-Identifier: BSD-3-Clause
import contextlib
import resource
import socket
import threading

from .rounds import Part, note, ratios, rotated, spread, table, tmpfs
from .veth import Meter, Veth, account_cells, bench_cpus, send_live_frames

RATE = 1_000_000
VARIANTS = {"without": (), "--metrics": (), "--metrics --bpf-stats": ("--bpf-stats",)}


class Scrapes(threading.Thread):
    """One scrape per second, by a client that costs little itself."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.ends, self.sizes = path, threading.Event(), []

    def run(self):
        while not self.ends.wait(1):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path)
                client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n")
                self.sizes.append(sum(iter(lambda: len(client.recv(65536)), 0)))


def children_seconds():
    """CPU seconds of all commands that have ended, with the softirqs in them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def one_run(context, veth, variant, seconds, *rate):
    """ns of the sender's CPU per packet, daemon CPU ms per second, packets sent, account, number of scrapes"""
    sender_cpu, daemon_cpu = bench_cpus()
    with contextlib.ExitStack() as stack:
        arguments, scrapes = VARIANTS[variant], None
        if variant != "without":
            path = f"{stack.enter_context(tmpfs())}/x.sock"
            arguments, scrapes = ("--metrics", path, *arguments), Scrapes(path)
        meter = stack.enter_context(Meter(context.build, veth, daemon_cpu, arguments=arguments))
        if scrapes:
            scrapes.start()
        busy, used = children_seconds(), meter.cpu_seconds()
        sent = send_live_frames(context, veth, sender_cpu, "--flows", 65536, "--seconds", seconds, *rate)
        busy, used = children_seconds() - busy, meter.cpu_seconds() - used
        if scrapes:
            scrapes.ends.set()
            scrapes.join()
        return 1e9 * busy / sent["sent"], 1e3 * used / sent["seconds"], sent, meter.stop(), len(scrapes.sizes) if scrapes else 0


def bench(context):
    seconds = 2 if context.quick else 5
    samples = {(variant, rate): [] for rate in ((), ("--rate", RATE)) for variant in VARIANTS}
    with Veth() as veth:
        for turn in range(context.rounds):
            for variant, rate in rotated(samples, turn):
                samples[variant, rate].append(one_run(context, veth, variant, seconds, *rate))
            note(f"metrics: round {turn + 1} of {context.rounds}")
    lines = []
    for variant in VARIANTS:
        hooks, daemon = ([run[i] for run in samples[variant, rate]] for i, rate in enumerate(((), ("--rate", RATE))))
        base_hooks, base_daemon = ([run[i] for run in samples["without", rate]] for i, rate in
                                   enumerate(((), ("--rate", RATE))))
        _, _, sent, counts, scrapes = zip(*samples[variant, ()], *samples[variant, ("--rate", RATE)])
        is_base = variant == "without"
        lines.append([variant, spread(hooks, 1, 0), "-" if is_base else ratios(hooks, base_hooks), spread(daemon, 1, 1),
                      "-" if is_base else ratios(daemon, base_daemon), sum(scrapes),
                      *account_cells(sum(each["sent"] for each in sent), counts)])
    return ["64-byte UDP packets of 65,536 flows, as in *full load*, with one scrape per second, "
            f"{seconds} s per run; all variants in each round. The sender's CPU per packet, with that of the hooks, is measured as "
            f"fast as it goes (it waits busily at a fixed rate), and the daemon's, of all its threads, at {RATE:,} packets/s. The "
            "kernel then measures two programs per packet: that of the sender, and ours.\n\n" +
            table(["", "sender ns CPU/packet", "ratio", "daemon ms CPU/s", "ratio", "scrapes", "seen of sent", "in no row",
                   "events lost"], lines)]


PART = Part("metrics", "cost of --metrics and --bpf-stats at 1 million packets/s", ("Metrics",), bench, needs_root=True)
