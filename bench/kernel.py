# SPDX-License-Identifier: BSD-3-Clause
import json

from .rounds import DATAPATHS, TO_BASELINE, Part, note, output, ratios, rotated, spread, table

PACKETS = {
    "bulk": "TCP, 1400 bytes that do not start like a message",
    "request": "TCP, 1400 bytes that start like an HTTP request",
    "dns": "UDP, port 53, 60 bytes",
}


def samples_of(context, key, *arguments):
    """{key(sample): {program: samples, one per round}} of this commit, and of the baseline if there is one."""
    samples = {tools: {} for tools in context.compared_tools}
    for turn in range(context.rounds):
        for tools in rotated(samples, turn):
            for line in output(tools / "datapath_bench", *arguments, 1).splitlines():
                sample = json.loads(line)
                group, program = key(sample)
                samples[tools].setdefault(group, {}).setdefault(program, []).append(sample)
        note(f"kernel: round {turn + 1} of {context.rounds}")
    return list(samples.values())


def net_ns(of_program):
    """Returns the ns of each program and round, minus those of the empty program in the same round."""
    return {program: [one["ns"] - empty["ns"] for one, empty in zip(samples, of_program["empty"])]
            for program, samples in of_program.items()}


def compared(net, group, program, others):
    """The ratios to the baseline as the last cells of a row: one, or none."""
    of_others = [net_ns(other[group]) for other in others]
    return [ratios(net[program], of_other[program]) if program in of_other else "-" for of_other in of_others]


def bench_datapaths(context):
    samples, *others = samples_of(context, lambda sample: (sample["flows"], sample["program"]))
    lines = []
    for flows, of_flows in samples.items():
        net = net_ns(of_flows)
        for program in ["prototype"] + DATAPATHS:
            last = of_flows[program][-1]
            lines.append([f"{flows:,}", program, spread(net[program], 1, 0), ratios(net[program], net["prototype"]),
                          f"{last['counted']:,} of {last['sent']:,}", f"{last['entries'] - flows:,}",
                          last["events_lost"], *compared(net, flows, program, others)])
        lines.append([f"{flows:,}", "(empty, not net)", spread([one["ns"] for one in of_flows["empty"]], 1, 0),
                      "-", "-", "-", "-", *["-" for _ in others]])
    return ("BPF_PROG_TEST_RUN on a TCP packet of 100 bytes, minus the same run with an empty program. Flows come in "
            "pseudo-random order. Each packet writes one event into the event stream (prototype: ring buffer), which is "
            "drained between the timed runs. The prototype (`bench/prototype.bpf.c`) is the smallest program that does "
            "such work: IPv4 TCP or UDP, a 40-byte key, clock, lookup, a lock of its own, counters in 136 bytes, a record of 24. "
            "Programs take turns in short slices; a round is the median of its slices, and the ratio is that within one "
            "round. Target: at most 1.3.\n\n" +
            table(["flows", "program", "ns/packet", "ratio to prototype", "packets counted", "entries evicted",
                   "events lost", *[TO_BASELINE for _ in others]], lines))


def bench_feature_sets(context):
    samples, *others = samples_of(context, lambda sample: sample["program"].split(), "--sets")
    lines = []
    for kind, of_kind in samples.items():
        net = net_ns(of_kind)
        for program in of_kind:
            if program == "empty":
                continue
            last = of_kind[program][-1]
            lines.append([PACKETS[kind], program, spread(net[program], 1, 0), ratios(net[program], net["cic82"]),
                          f"{last['stream_bytes']:.0f}", last["events_lost"] + last["payload_lost"],
                          *compared(net, kind, program, others)])
    return ('The same with datapath "events" and 1024 flows, after the first 8 segments of each flow, for packets that the '
            "kernel hands over with realtime97 and for packets that it does not.\n\n" +
            table(["packets", "feature set", "ns/packet", "ratio to cic82", "stream bytes per packet", "records lost",
                   *[TO_BASELINE for _ in others]], lines))


def bench_owners(context):
    samples = {}
    for line in output(context.tools / "datapath_bench", "--owners", context.rounds).splitlines():
        sample = json.loads(line)
        samples.setdefault(sample["flows"], {}).setdefault(sample["program"], []).append(sample["ns"])
    lines = []
    for flows, of_flows in samples.items():
        off = of_flows["off"]
        added = [[ns - without for ns, without in zip(of_flows[program], off)] for program in ("told", "unknown", "off again")]
        lines.append([f"{flows:,}", spread(off, 1, 0), *(spread(each, 1, 1) for each in added)])
    return ("The same with datapath \"events\", with and without `--attribute container`, in one process. The owners of most flows "
            "are told by their first packets. Where an owner stays unknown, each packet looks anew for its sender; here it finds a "
            "socket that has sent nothing. The last column is without it once more: what the places of flows in memory make. Target: at most "
            "15 ns.\n\n" +
            table(["flows", "ns/packet without", "ns added, owner told", "ns added, owner unknown", "without, again"], lines))


def bench_socket_owners(context):
    calls = {}
    for line in output(context.tools / "socket_owners_bench", context.rounds).splitlines():
        sample = json.loads(line)
        calls.setdefault(sample["call"], []).append(sample)
    lines = [[call, spread([each["ns"] for each in samples], 1, 0), spread([each["ns_noted"] for each in samples], 1, 0),
              spread([each["ns_noted"] - each["ns"] for each in samples], 1, 0)] for call, samples in calls.items()]
    return ("What `--attribute process` adds to the calls by which processes make and use sockets (`bpf/socket_owners.bpf.c`): the "
            "same calls with and without its programs, in turn. The packet path only reads what they note.\n\n" +
            table(["call", "ns without", "ns with", "ns added"], lines))


def bench(context):
    return [bench_datapaths(context), bench_feature_sets(context), bench_owners(context), bench_socket_owners(context)]


PART = Part("kernel", "ns per packet of the BPF program by BPF_PROG_TEST_RUN, compared with a prototype of the same work",
            ("BPF program", "BPF program, by feature set", "Owners", "Owners of sockets"), bench, needs_root=True)
