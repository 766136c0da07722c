# SPDX-License-Identifier: BSD-3-Clause
from .rounds import Part, replay_rounds, spread, table, timed, tmpfs


def bench(context):
    rows = {}
    with tmpfs() as memory:
        rows_file = f"{memory}/rows.csv"
        variants = {
            "rows to /dev/null": lambda path: [context.meter, "-q", "-f", path, "-c", "/dev/null"],
            "rows to tmpfs": lambda path: [context.meter, "-q", "-f", path, "-c", rows_file],
            "tcpdump -w /dev/null": lambda path: ["tcpdump", "-r", path, "-w", "/dev/null"],
        }

        def sample(name, variant, _):
            figures = timed(variants[variant](context.captures[name]), context.directory)
            if variant == "rows to tmpfs" and name not in rows:
                with open(rows_file, "rb") as file:
                    rows[name] = sum(1 for _ in file) - 1
            return figures

        samples = replay_rounds(context, "program", variants, sample)
    lines = []
    for (name, variant), values in samples.items():
        wall, cpu, memory_mib = zip(*values)
        lines.append([name, variant, spread([context.packets / w / 1e6 for w in wall]),
                      spread([context.packets / c / 1e6 for c in cpu]), spread(cpu),
                      f"{rows[name]:,}" if "rows" in variant else "-", f"{max(memory_mib):,.0f}"])
    return [table(["flows", "run", "Mpackets/s, wall", "Mpackets/s, CPU", "CPU s", "rows", "peak MiB"], lines)]


PART = Part("program", "flowmeter-ebpf on captures of 1 thousand, 100 thousand and 1 million concurrent flows, beside tcpdump",
            ("Replay, whole program",), bench, needs_captures=True)
