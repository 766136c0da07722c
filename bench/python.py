# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import shutil

from .rounds import ROOT, Part, environment, ratios, replay_rounds, spread, table, timed, tmpfs

RUNS = {  # "program", and the values of HOW of python_replay.py
    "program": "flowmeter-ebpf, CSV to tmpfs",
    "frame": "read_frame()",
    "flows": "for flow in read()",
    "cells": "the same, five cells of each flow",
    "dicts": "the same, a dict of each flow",
    "fields": "for flow in read(fields=5 columns), a tuple of each",
    "stream": "for batch in pyarrow.RecordBatchReader.from_stream(read())",
    "arrow": "pyarrow.table(read())",
    "batches": "of this, the hand-over to Arrow alone",
    "csv": "pyarrow.csv.read_csv() of the program's CSV",
    "parquet": "write_parquet() to tmpfs",
    "nfstream": "nfstream's to_pandas(), statistical analysis, no dissection",
}


def time_package(context, python, how, file):
    """Returns the output of python_replay.py for one replay, and the peak resident MiB."""
    said = context.directory / "python.json"
    _, _, peak = timed(["env", f"PYTHONPATH={context.build / 'python'}", "sh", "-c", f'exec "$@" > {said}', "sh",
                        python, "-B", ROOT / "bench" / "python_replay.py", how, file], context.directory)
    return json.loads(said.read_text()), peak


def bench(context):
    imports = []
    newest, with_nfstream = environment(context, "pandas", "pyarrow"), environment(context, "nfstream")
    with tmpfs() as memory:
        for name, path in context.captures.items():  # what write_parquet() writes is beside its input
            shutil.copy(path, f"{memory}/{name}.pcap")

        def sample(name, how, _):
            if how == "nfstream" and name != "100k":
                return None  # it would take longer than all others together
            capture, rows = f"{memory}/{name}.pcap", f"{memory}/{name}.csv"
            if how == "program" or (how == "csv" and not os.path.exists(rows)):
                wall, cpu, peak = timed([context.meter, "-q", "-f", capture, "-c", rows], context.directory)
                if how == "program":
                    with open(rows, "rb") as file:
                        flows = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) - 1
                    return cpu, flows / wall, peak
            told, peak = time_package(context, with_nfstream if how == "nfstream" else newest, how,
                                      rows if how == "csv" else capture)
            if how == "frame":
                imports.append(told["imports_s"])
            return told["cpu_s"], told["rows"] / told["wall_s"], peak

        samples = replay_rounds(context, "python", RUNS, sample)
    lines = []
    for (name, how), values in samples.items():
        cpu, rate, memory_mib = zip(*values)
        lines.append([name, RUNS[how], spread(cpu), ratios(cpu, [program for program, *_ in samples[name, "program"]]),
                      spread(rate, 1e-3, 0), ratios(rate, [csv for _, csv, _ in samples[name, "csv"]]), f"{max(memory_mib):,.0f}"])
    return ["All 82 columns unless stated otherwise. CPU time does not include interpreter start and imports, which took "
            f"{spread(imports)} s with pandas; the program's includes everything. The ratios are those of runs in the same "
            "round. Rows per second are by wall time. Targets: CPU time of read_frame() and of the bare loop at most 1.1 of the "
            "program's; the hand-over to Arrow at least 5 times as fast as reading the CSV; Arrow batches, and a table of "
            "them, at least as fast as the program.\n\n" +
            table(["flows", "run", "CPU s", "CPU time relative to program", "1,000 rows/s", "rows/s relative to pyarrow.csv",
                   "peak MiB"], lines)]


PART = Part("python", "the Python package on the same captures, beside the program writing CSV",
            ("Python",), bench, needs_captures=True)
