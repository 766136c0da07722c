# SPDX-License-Identifier: BSD-3-Clause
"""Shared by all parts: their context, commands, rounds, and numbers as text."""
import dataclasses
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing

from flowmeter import interpreter

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOWS = [("1k", 1_000), ("100k", 100_000), ("1M", 1_000_000)]
PYTHON = interpreter.DEBIAN  # has the packages that install-dependencies installs
DATAPATHS = ["events", "kernel"]  # values of --datapath
TO_BASELINE = "time, ratio to baseline"
CPU_TO_BASELINE = "CPU, ratio to baseline"


def meter_of(build):
    return build / "flowmeter-ebpf"


@dataclasses.dataclass
class Context:
    """The parameters of one run of scripts/bench, and the places of its files."""
    rounds: int
    packets: int  # per capture
    seconds: int  # of the long runs at full load
    max_flows: int
    quick: bool
    build: pathlib.Path
    directory: pathlib.Path  # temporary
    baseline: pathlib.Path | None = None  # the build directory of another commit
    captures: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)

    @property
    def meter(self):
        return meter_of(self.build)

    @property
    def tools(self):
        return self.build / "bench"

    @property
    def compared_builds(self):
        """The build of this commit and, if there is a baseline, of that one."""
        return [self.build] + ([self.baseline] if self.baseline else [])

    @property
    def compared_tools(self):
        return [build / "bench" for build in self.compared_builds]

    @property
    def live_frames(self):
        return self.build / "tests" / "kernel" / "live_frames" / "send_live_frames"


@dataclasses.dataclass
class Part:
    """A part of the report. bench() returns the text below each title, in the order of the titles."""
    name: str
    summary: str
    titles: tuple[str, ...]
    bench: typing.Callable[[Context], list[str]]
    needs_root: bool = False
    needs_captures: bool = False
    missing: typing.Callable[[], str] = lambda: ""  # what it needs and this machine lacks, or ""


# ---- commands ------------------------------------------------------------------------------------------------------


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    options.setdefault("check", True)
    options.setdefault("text", True)
    return subprocess.run([str(word) for word in command], **options)


def output(*command):
    return run(*command, stdout=subprocess.PIPE).stdout


def tmpfs():
    """A directory in memory, so that writes take no disk time."""
    return tempfile.TemporaryDirectory(dir="/dev/shm", prefix="flowmeter-bench.")


def environment(context, *packages):
    """The interpreter of a virtual environment with these packages of today, which is kept in the build directory."""
    directory = context.build / f"python-{'-'.join(packages)}"
    python = directory / "bin" / "python"
    if not (directory / "complete").exists():
        note(f"installs {', '.join(packages)} into {directory}")
        run(PYTHON, "-m", "venv", "--clear", directory)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
        (directory / "complete").touch()
    return python


def timed(command, directory):
    """Runs the command. Returns wall seconds, CPU seconds, and peak resident MiB."""
    # time(1) measures, because a child of this process would inherit the peak of this process.
    figures = directory / "time"
    start = time.monotonic()
    done = run("time", "-q", "-o", figures, "-f", "%U %S %M", *command, check=False, stdout=subprocess.DEVNULL,
               stderr=subprocess.PIPE)
    wall = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(map(str, command))} failed:\n{done.stderr}")
    user, system, peak_kib = figures.read_text().split()
    return wall, float(user) + float(system), int(peak_kib) / 1024


# ---- rounds --------------------------------------------------------------------------------------------------------


def rotated(variants, turn):
    """The variants, starting with a different one in each round, so that none always runs first."""
    variants = list(variants)
    start = turn % len(variants)
    return variants[start:] + variants[:start]


def replay_rounds(context, part, variants, sample):
    """Returns the samples of each (capture, variant): one sample(capture, variant, turn) per round. A variant without samples
    (they are None) is left out.
    """
    samples = {(name, variant): [] for name, _ in FLOWS for variant in variants}
    for turn in range(context.rounds):
        for name, _ in FLOWS:
            for variant in rotated(variants, turn):
                samples[name, variant].append(sample(name, variant, turn))
        note(f"{part}: round {turn + 1} of {context.rounds}")
    return {key: values for key, values in samples.items() if values[0] is not None}


# ---- numbers as text -----------------------------------------------------------------------------------------------


def spread(samples, scale=1.0, digits=2):
    """median [minimum-maximum]"""
    values = [sample * scale for sample in samples]
    middle, least, greatest = (f"{v:,.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{least}-{greatest}]"


def ratios(samples, reference):
    """The spread of the ratios of two samples from the same round."""
    return spread([sample / base for sample, base in zip(samples, reference)])


def table(head, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in [head] + rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"
