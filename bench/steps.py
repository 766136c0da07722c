# SPDX-License-Identifier: BSD-3-Clause
import json
import subprocess

from .rounds import FLOWS, TO_BASELINE, Part, note, ratios, rotated, run, spread, table

STEPS = [
    ("libpcap", "pcap_next_ex alone"),
    ("reader", "our reader alone"),
    ("reader+parse+hash", "reader, parser, key, hash"),
    ("table", "flow table alone: all flows known, packets parsed before"),
    ("packet_phase:cic82", "**packet phase: file to flow table**"),
    ("packet_phase:netflowmeter114", "the same for netflowmeter114"),
    ("packet_phase:realtime97", "the same for realtime97"),
    ("getters:cic82", "82 columns computed, not written"),
    ("getters:netflowmeter114", "121 columns of netflowmeter114 computed, not written"),
    ("getters:realtime97", "97 columns of realtime97 computed, not written"),
    ("csv_rows:cic82", "**row phase: 82 columns to CSV (/dev/null)**"),
    ("csv_rows_fleet:cic82", "82 columns and those of --fleet to CSV"),
    ("csv_rows:netflowmeter114", "121 columns of netflowmeter114 to CSV"),
    ("csv_rows:realtime97", "97 columns of realtime97 to CSV"),
]


def samples_of(context, tools):
    """{(step, capture): (items/s of wall time, items/s of CPU time)} of one round."""
    report = context.directory / "steps.json"
    run(tools / "replay_bench", f"--benchmark_out={report}", "--benchmark_out_format=json",
        *[f"{name}={path}" for name, path in context.captures.items()], stdout=subprocess.DEVNULL)
    samples = {}
    for entry in json.loads(report.read_text())["benchmarks"]:
        step, name = entry["run_name"].split("/")[:2]
        # items/s are per CPU time; times are in ms
        items = entry["items_per_second"] * entry["cpu_time"] / 1e3
        samples[step, name] = (items / entry["real_time"] * 1e3, entry["items_per_second"])
    return samples


def bench(context):
    rounds = {tools: [] for tools in context.compared_tools}
    for turn in range(context.rounds):
        for tools in rotated(rounds, turn):
            rounds[tools].append(samples_of(context, tools))
        note(f"steps: round {turn + 1} of {context.rounds}")
    mine, *others = rounds.values()
    lines = []
    for step, label in STEPS:
        for name, _ in FLOWS:
            wall, cpu = zip(*[samples[step, name] for samples in mine])
            # The ratio of times: the inverse of that of the rates.
            compared = [ratios([samples[step, name][1] for samples in other], cpu) for other in others]
            lines.append([label, name, spread(wall, 1e-6), spread(cpu, 1e-6), spread([1e9 / c for c in cpu], 1, 0),
                          *compared])
    return ["Millions of packets/s; for getters and row phase, millions of rows/s.\n\n" +
            table(["step", "flows", "M/s, wall", "M/s, CPU", "ns CPU each", *[TO_BASELINE for _ in others]], lines)]


PART = Part("steps", "the layers of replay on the same captures, beside libpcap: reader, parser, flow table, rows",
            ("Replay, step by step",), bench, needs_captures=True)
