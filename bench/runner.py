# SPDX-License-Identifier: BSD-3-Clause
"""Builds and runs the benchmarks and prints one report, as Markdown.

Each number is the median [minimum-maximum] of several rounds. Things that are compared run in the same round, so a busy
machine affects all of them; CPU time is given beside wall time for the same reason. The benchmarks do not pass or fail.

Parts:
"""
import argparse
import datetime
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from . import (archives, compat, fleet_rows, interfaces, iperf3, kafka_topic, kept_flows, kernel, live, load, memory,
               metrics, program, python, steps, web_service)
from .rounds import FLOWS, PYTHON, ROOT, Context, note, output, run, table

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PARTS = {module.PART.name: module.PART
         for module in (program, compat, web_service, kafka_topic, python, archives, steps, kernel, live, load, iperf3,
                        kept_flows, interfaces, metrics, fleet_rows, memory)}
TITLES = [f"### {title}" for part in PARTS.values() for title in part.titles]


# ---- preparation ---------------------------------------------------------------------------------------------------


def build(directory):
    note(f"builds in {directory}")
    run("cmake", "-S", ROOT, "-B", directory, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFLOWMETER_BENCH=ON",
        "-DFLOWMETER_TESTS=OFF", "-DFLOWMETER_PYTHON=ON", f"-DPython3_EXECUTABLE={PYTHON}", stdout=subprocess.DEVNULL)
    run("cmake", "--build", directory, "-j", os.cpu_count() or 1, stdout=subprocess.DEVNULL)


def make_captures(context):
    note("makes the captures")
    for name, flows in FLOWS:
        context.captures[name] = context.directory / f"{name}.pcap"
        run(context.tools / "make_bench_capture", context.captures[name], flows, context.packets)


# ---- report --------------------------------------------------------------------------------------------------------


def source():
    commit = run("git", "-C", ROOT, "describe", "--always", "--dirty", check=False, stdout=subprocess.PIPE,
                 stderr=subprocess.DEVNULL).stdout.strip() or "not from git"
    return f"Source {commit}, {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}"


def load_average():
    return " ".join(f"{load:.1f}" for load in os.getloadavg())


def machine():
    model = "?"
    caches = []
    for line in output("lscpu").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Model name":
            model = value.strip()
        if name.strip() in ("L2 cache", "L3 cache"):
            caches.append(f"{name.split()[0]} {value.strip()}")
        if name.strip() == "Hypervisor vendor":
            model += f" (virtual, {value.strip()})"
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {', '.join(caches)}, {memory_gib:.0f} GiB"


def conditions(rounds, packets):
    def first(command):
        return output(*command).splitlines()[0]

    return table(["", ""], [
        ["machine", machine()],
        ["kernel", f"Linux {os.uname().release}"],
        ["compilers", f"{first(['c++', '--version'])} (-O3); BPF: {first(['clang', '--version'])}"],
        ["rounds", f"{rounds}; {packets:,} packets per capture"],
        ["load before", load_average()],
    ])


def section(part, context):
    bodies = part.bench(context)
    bodies[0] = f"{source()}, on {machine()}; load after it {load_average()}.\n\n{bodies[0]}"
    return "\n".join(f"### {title}\n\n{body}" for title, body in zip(part.titles, bodies))


def sections_of(report):
    """Maps each title to its text, in order; the text before the first title has the title ""."""
    parts = re.split(r"^(?=### )", report, flags=re.M)
    return {part.partition("\n")[0] if i else "": part.rstrip() + "\n" for i, part in enumerate(parts)}


def write_document(report):
    """Replaces the sections that this run measured. Each states its date, source commit and machine; the conditions above
    them are of the last run of all parts.
    """
    begin, end = "<!-- scripts/bench begin -->\n", "<!-- scripts/bench end -->"
    text = DOCUMENT.read_text()
    head, _, rest = text.partition(begin)
    old, _, tail = rest.partition(end)
    measured = sections_of(report)
    if not set(TITLES) <= set(measured):
        del measured[""]
    sections = sections_of(old) | measured
    order = [""] + [title for title in TITLES if title in sections]
    DOCUMENT.write_text(head + begin + "\n".join(sections[title] for title in order) + end + tail)


# ---- main ----------------------------------------------------------------------------------------------------------


def parse_arguments():
    summaries = "\n".join(f"  {part.name:8} {part.summary}{' (needs root)' if part.needs_root else ''}"
                          for part in PARTS.values())
    parser = argparse.ArgumentParser(prog="bench", description=__doc__ + summaries,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="2 rounds and small captures, to see that it works")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--seconds", type=int, help="length of the long runs of load: default 60, with --quick 5")
    parser.add_argument("--max-flows", type=int, default=120000, help="for memory: default 120000")
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build-bench")
    parser.add_argument("--baseline", type=pathlib.Path, metavar="DIR",
                        help="also run the parts steps, kernel, live and load of this build directory of another commit (built "
                             "by its scripts/bench), in the same rounds, and print ratios")
    parser.add_argument("--write-doc", action="store_true", help="write the results of these parts into docs/benchmarks.md")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.seconds is not None and options.seconds < 1:
        parser.error("--seconds must be at least 1")
    if not 2048 <= options.max_flows <= 1 << 24:
        parser.error("--max-flows must be from 2048 to 16777216")
    if options.write_doc and (options.quick or options.baseline):
        parser.error("--write-doc cannot be used with --quick or --baseline")
    if options.baseline:
        for tool in ("bench/replay_bench", "bench/datapath_bench", "flowmeter-ebpf"):
            if not (options.baseline / tool).exists():
                parser.error(f"{options.baseline} has no {tool}: build it there with scripts/bench")
        if options.baseline.resolve() == options.build_dir.resolve():
            parser.error("--baseline is the build directory of this commit")
    return options


def parts_to_run(options):
    parts = [part for name, part in PARTS.items() if name in (options.parts or PARTS)]
    for part in parts[:]:
        if why := part.missing():
            if options.parts:
                sys.exit(f"bench: {part.name}: {why}")
            note(f"{part.name} is left out: {why}")
            parts.remove(part)
    if os.geteuid() == 0:
        return parts
    for part in parts:
        if part.needs_root and (options.parts or options.write_doc):
            sys.exit(f"bench: {part.name} needs root")
        if part.needs_root:
            note(f"{part.name} is left out: it needs root")
    return [part for part in parts if not part.needs_root]


def run_parts(options):
    parts = parts_to_run(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that namespaces and captures are removed
    run(ROOT / "scripts" / "install-dependencies", "--bench", stdout=sys.stderr)
    build(options.build_dir)
    with tempfile.TemporaryDirectory(prefix="flowmeter-bench.") as directory:
        os.chmod(directory, 0o755)  # tcpdump reads as another user
        context = Context(rounds=2 if options.quick else options.rounds,
                          packets=1_000_000 if options.quick else 6_000_000,
                          seconds=options.seconds or (5 if options.quick else 60), max_flows=options.max_flows,
                          quick=options.quick, build=options.build_dir.resolve(), directory=pathlib.Path(directory),
                          baseline=options.baseline and options.baseline.resolve())
        report = conditions(context.rounds, context.packets) + "\n"
        if any(part.needs_captures for part in parts):
            make_captures(context)
        report += "\n".join(section(part, context) for part in parts)
    print(report)
    if options.write_doc:
        write_document(report)


def main():
    try:
        run_parts(parse_arguments())
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {' '.join(error.cmd)}: exit status {error.returncode}")
    except KeyboardInterrupt:
        sys.exit(130)
