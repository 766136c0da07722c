# SPDX-License-Identifier: BSD-3-Clause
import json
import os
import shutil

from .rounds import PYTHON, ROOT, Part, note, output, rotated, run, spread, table

WORKERS, TASKS = 2, 8
ENGINES = {  # HOW of archive_rows.py, number of workers and of tasks (0: one for each capture)
    "one process": ("processes", 1, 0),
    f"{WORKERS} processes": ("processes", WORKERS, 0),
    "Spark, a task per capture": ("spark", WORKERS, 0),
    f"Spark, {TASKS} tasks": ("spark", WORKERS, TASKS),
    "Ray, a task per capture": ("ray", WORKERS, 0),
    f"Ray, {TASKS} tasks": ("ray", WORKERS, TASKS),
}


def engines_python(context):
    """An interpreter with the engines; they are installed once for each build directory."""
    python = context.build / "engines" / "bin" / "python"
    if not python.exists():
        note("installs the engines")
        run(PYTHON, "-m", "venv", python.parent.parent)
        run(python, "-m", "pip", "install", "--quiet", "-r", ROOT / "tests" / "python" / "engines" / "requirements.txt")
    return python


def archives(context):
    """{name: (directory, number of captures)}; each is removed before the next one is made."""
    large, packets = 8, context.packets // 4
    for name, captures, flows, of_each in ((f"{large} of {packets:,} packets", large, packets // 15, packets),
                                           ("400 of 500 packets", 400, 50, 500)):
        directory = context.directory / "archive"
        directory.mkdir()
        first = directory / "0.pcap"
        run(context.tools / "make_bench_capture", first, flows, of_each)
        for i in range(1, captures):
            os.link(first, directory / f"{i}.pcap")  # the page cache has it once
        yield name, directory, captures
        shutil.rmtree(directory)


def bench(context):
    python = engines_python(context)
    lines = []
    for name, directory, captures in archives(context):
        samples = {engine: [] for engine in ENGINES}
        for turn in range(context.rounds):
            for engine in rotated(ENGINES, turn):
                samples[engine].append(json.loads(output(
                    "env", f"PYTHONPATH={context.build / 'python'}", python, "-B", ROOT / "bench" / "archive_rows.py",
                    directory, *ENGINES[engine]).splitlines()[-1]))
            note(f"archives: {name}: round {turn + 1} of {context.rounds}")
        if len({sample["rows"] for of_engine in samples.values() for sample in of_engine}) != 1:
            raise SystemExit(f"bench: the engines disagree on the number of rows: {samples}")
        for engine, of_engine in samples.items():
            first, second = zip(*(sample["seconds"] for sample in of_engine))
            lines.append([name, f"{of_engine[0]['rows']:,}", engine, spread([sample["started_s"] for sample in of_engine]),
                          spread(first), spread(second), spread(second, 1000 / captures, 1)])
    return [f"Wall time of an archive, without storing rows. The engines have {WORKERS} workers, which start and import in the first "
            "pass.\n\n" +
            table(["captures", "rows", "run", "start s", "first pass s", "second pass s", "ms per capture"], lines)]


PART = Part("archives", "archives of captures on Spark and Ray, beside processes of Python",
            ("Archives",), bench)
