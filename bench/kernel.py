# SPDX-License-Identifier: BSD-3-Clause
import json

from .rounds import DATAPATHS, Part, note, output, ratios, spread, table

PACKETS = {
    "bulk": "TCP, 1400 bytes that do not start like a message",
    "request": "TCP, 1400 bytes that start like an HTTP request",
    "dns": "UDP, port 53, 60 bytes",
}


def samples_of(context, *arguments):
    return [json.loads(line)
            for line in output(context.tools / "datapath_bench", *arguments, context.rounds).splitlines()]


def net_ns(of_program):
    """Returns the ns of each program and round, minus those of the empty program in the same round."""
    return {program: [one["ns"] - empty["ns"] for one, empty in zip(samples, of_program["empty"])]
            for program, samples in of_program.items()}


def bench_datapaths(context):
    samples = {}
    for sample in samples_of(context):
        samples.setdefault(sample["flows"], {}).setdefault(sample["program"], []).append(sample)
    lines = []
    for flows, of_flows in samples.items():
        net = net_ns(of_flows)
        for program in ["prototype"] + DATAPATHS:
            last = of_flows[program][-1]
            lines.append([f"{flows:,}", program, spread(net[program], 1, 0), ratios(net[program], net["prototype"]),
                          f"{last['counted']:,} of {last['sent']:,}", f"{last['entries'] - flows:,}",
                          last["events_lost"]])
        lines.append([f"{flows:,}", "(empty, not net)", spread([one["ns"] for one in of_flows["empty"]], 1, 0),
                      "-", "-", "-", "-"])
    return ("BPF_PROG_TEST_RUN on a TCP packet of 100 bytes, minus the same run with an empty program. Flows come in "
            "pseudo-random order. Each packet writes one event into the event stream (prototype: ring buffer), which is "
            "drained between the timed runs. The prototype (`bench/prototype.bpf.c`) is the smallest program that does "
            "such work: IPv4 TCP or UDP, a 40-byte key, clock, lookup, a lock of its own, counters in 136 bytes, a record of 24. "
            "Programs take turns in short slices; a round is the median of its slices, and the ratio is that within one "
            "round. Target: at most 1.3.\n\n" +
            table(["flows", "program", "ns/packet", "ratio to prototype", "packets counted", "entries evicted",
                   "events lost"], lines))


def bench_feature_sets(context):
    samples = {}
    for sample in samples_of(context, "--sets"):
        kind, program = sample["program"].split()
        samples.setdefault(kind, {}).setdefault(program, []).append(sample)
    lines = []
    for kind, of_kind in samples.items():
        net = net_ns(of_kind)
        for program in of_kind:
            if program == "empty":
                continue
            last = of_kind[program][-1]
            lines.append([PACKETS[kind], program, spread(net[program], 1, 0), ratios(net[program], net["cic82"]),
                          f"{last['stream_bytes']:.0f}", last["events_lost"] + last["payload_lost"]])
    return ('The same with datapath "events" and 1024 flows, after the first 8 segments of each flow, for packets that the '
            "kernel hands over with realtime97 and for packets that it does not.\n\n" +
            table(["packets", "feature set", "ns/packet", "ratio to cic82", "stream bytes per packet", "records lost"],
                  lines))


def bench(context):
    note("kernel")
    return [bench_datapaths(context), bench_feature_sets(context)]


PART = Part("kernel", "ns per packet of the BPF program by BPF_PROG_TEST_RUN, compared with a prototype of the same work",
            ("BPF program", "BPF program, by feature set"), bench, needs_root=True)
