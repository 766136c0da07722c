# SPDX-License-Identifier: BSD-3-Clause
import json
import subprocess

from .rounds import DATAPATHS, Part, note, output, ratios, spread, table
from .veth import ADDRESSES, Meter, Veth, account_cells, wait_for


def iperf3_run(veth, seconds):
    """Returns the Gbit/s received."""
    server = subprocess.Popen(veth.command(1, None, "iperf3", "--server", "--one-off", "--forceflush"),
                              stdout=subprocess.PIPE, bufsize=0)
    try:
        wait_for(server.stdout, b"listening", 5)
        report = json.loads(output(*veth.command(0, None, "iperf3", "--client", ADDRESSES[1], "--time", seconds, "--json")))
        return report["end"]["sum_received"]["bits_per_second"] / 1e9
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def compare(context, veth, datapath, pairs, seconds):
    """Returns Gbit/s without and with the meter, one of each per pair, and the meter's accounts."""
    without, metered, counts = [], [], []
    for turn in range(pairs):
        for with_meter in ((False, True) if turn % 2 else (True, False)):
            if not with_meter:
                without.append(iperf3_run(veth, seconds))
                continue
            with Meter(context.build, veth, None, datapath) as meter:
                metered.append(iperf3_run(veth, seconds))
                counts.append(meter.stop())
        note(f"iperf3: {datapath}, pair {turn + 1} of {pairs}")
    return without, metered, counts


def bench(context):
    pairs = 2 if context.quick else max(10, context.rounds)
    seconds = 2 if context.quick else 4
    lines = []
    with Veth() as veth:
        iperf3_run(veth, 1)
        for datapath in DATAPATHS:
            without, metered, counts = compare(context, veth, datapath, pairs, seconds)
            lines.append([datapath, pairs, spread(without, 1, 1), spread(metered, 1, 1), ratios(metered, without),
                          *account_cells(None, counts)])
    return [f"iperf3, one TCP connection over a veth for {seconds} s, offloads on, both hooks of the receiving end metered. "
            "Runs with and without the meter take turns; nothing is pinned to a CPU. Target: a median ratio of at least 0.95.\n\n" +
            table(["datapath", "pairs", "Gbit/s without", "Gbit/s with", "ratio of a pair", "packets seen", "in no row",
                   "events lost"], lines)]


PART = Part("iperf3", "TCP over a veth with and without the meter", ("TCP throughput",), bench, needs_root=True)
