# SPDX-License-Identifier: BSD-3-Clause
from .rounds import Part, ratios, replay_rounds, spread, table, timed

MODES = {"correct": [], "python": ["--compat", "python"], "java": ["--compat", "java"]}


def bench(context):
    def sample(name, mode, _):
        return timed([context.meter, "-q", "-f", context.captures[name], "-c", "/dev/null", *MODES[mode]],
                     context.directory)

    samples = replay_rounds(context, "compat", MODES, sample)
    lines = []
    for (name, mode), values in samples.items():
        wall, cpu, memory_mib = zip(*values)
        lines.append([name, mode, spread([context.packets / w / 1e6 for w in wall]),
                      spread([context.packets / c / 1e6 for c in cpu]),
                      ratios(cpu, [correct for _, correct, _ in samples[name, "correct"]]),
                      f"{max(memory_mib):,.0f}"])
    return ["Whole program, rows to /dev/null. The ratio is that of CPU times in the same round. Target: at most 3.\n\n" +
            table(["flows", "mode", "Mpackets/s, wall", "Mpackets/s, CPU", "CPU time relative to correct", "peak MiB"], lines)]


PART = Part("compat", "the compatibility modes on the same captures, beside the correct mode",
            ("Compatibility modes",), bench, needs_captures=True)
