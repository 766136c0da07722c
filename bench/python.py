# SPDX-License-Identifier: BSD-3-Clause
import json

from .rounds import PYTHON, ROOT, Part, ratios, replay_rounds, spread, table, timed, tmpfs

RUNS = {  # "program", and the values of HOW of python_replay.py
    "program": "flowmeter-ebpf, CSV to tmpfs",
    "frame": "read_frame()",
    "flows": "for flow in read()",
    "cells": "the same, five cells of each flow",
    "dicts": "the same, a dict of each flow",
    "fields": "for flow in read(fields=5 columns), a tuple of each",
}


def time_package(context, how, capture):
    """Returns the output of python_replay.py for one replay, and the peak resident MiB."""
    said = context.directory / "python.json"
    _, _, peak = timed(["env", f"PYTHONPATH={context.build / 'python'}", "sh", "-c", f'exec "$@" > {said}', "sh",
                        PYTHON, "-B", ROOT / "bench" / "python_replay.py", how, capture], context.directory)
    return json.loads(said.read_text()), peak


def bench(context):
    imports = []
    with tmpfs() as memory:
        def sample(name, how, _):
            if how == "program":
                _, cpu, peak = timed([context.meter, "-q", "-f", context.captures[name], "-c", f"{memory}/rows.csv"],
                                     context.directory)
                return cpu, peak
            told, peak = time_package(context, how, context.captures[name])
            if how == "frame":
                imports.append(told["imports_s"])
            return told["cpu_s"], peak

        samples = replay_rounds(context, "python", RUNS, sample)
    lines = []
    for (name, how), values in samples.items():
        cpu, memory_mib = zip(*values)
        lines.append([name, RUNS[how], spread(cpu), ratios(cpu, [program for program, _ in samples[name, "program"]]),
                      f"{max(memory_mib):,.0f}"])
    return ["All 82 columns unless stated otherwise. CPU time does not include interpreter start and imports, which took "
            f"{spread(imports)} s with pandas; the program's includes everything. The ratio is that of runs in the same round. "
            "Target for read_frame() and for the bare loop: at most 1.1.\n\n" +
            table(["flows", "run", "CPU s", "CPU time relative to program", "peak MiB"], lines)]


PART = Part("python", "the Python package on the same captures, beside the program writing CSV",
            ("Python",), bench, needs_captures=True)
