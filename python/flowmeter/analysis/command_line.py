# SPDX-License-Identifier: BSD-3-Clause
"""Analyses a CSV of flows: classes of flows, statistics, correlations and plots, also on one page (report.html).

Reads the 82 features of flowmeter-ebpf or of the Python cicflowmeter, the realtime97 features, and those of the Java
CICFlowMeter, plain or .gz. Needs pandas and matplotlib: pip install 'flowmeter-ebpf[analysis]', or Debian's python3-pandas and
python3-matplotlib (scripts/install-dependencies --analysis).
Prints the output directory as the only line on standard output.
"""
import argparse
import logging
import math
import os
import signal
import sys

from .. import interpreter
from .classes import Limits

VERSION = "0.1.0"
USUAL_INPUTS = ("cicflowmeter/output/flow.csv", "output/flow.csv", "flow.csv")
DONE, NO_INPUT, REFUSED, NOT_WRITTEN = range(4)
log = logging.getLogger("flowmeter.analysis")


def number(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def whole(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


number.__name__, whole.__name__ = "number", "whole positive number"  # in argparse's messages


def option_of(name):
    return "--" + name.replace("_", "-")


def command_line(program):
    parser = argparse.ArgumentParser(
        prog=program, description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 done, 1 input missing or unreadable, 2 wrong usage or a column missing, 3 an output could not "
               "be written.")
    parser.add_argument("input", nargs="?", metavar="INPUT",
                        help=f"CSV of flows; - is standard input (default: the first of {', '.join(USUAL_INPUTS)} that exists)")
    parser.add_argument("-o", "--output-dir", metavar="DIR",
                        help="where to write (default: analysis beside INPUT; with -, the current directory)")
    parser.add_argument("--compare", metavar="OTHER.csv", help="also compare with this CSV (comparison.csv)")
    parser.add_argument("--no-plots", action="store_true", help="tables and page without pictures")
    parser.add_argument("--dpi", type=whole, default=150, metavar="N", help="resolution of the pictures (default: %(default)s)")
    parser.add_argument("--correlation", type=number, default=0.7, metavar="X",
                        help="threshold of strong_correlations.csv (default: %(default)s)")
    parser.add_argument("--correlate", choices=("key", "all"), default="key",
                        help="correlate the eight key features or all numeric columns (default: %(default)s)")
    limits = parser.add_argument_group("limits of the classes (times in seconds, sizes in bytes)")

    def limit(name, text, metavar="X", kind=number):
        default = Limits._field_defaults[name]
        shown = " ".join(f"{value:g}" for value in default) if isinstance(default, tuple) else f"{default:g}"
        limits.add_argument(option_of(name), default=default, type=kind, metavar=metavar, help=f"{text} (default: {shown})",
                            nargs=len(default) if isinstance(default, tuple) else None)

    limit("large_bytes", "large data transfer: more bytes backward than this, and")
    limit("large_duration", "longer than this")
    limit("quick_size", "quick request: smaller mean packet size than this, and")
    limit("quick_duration", "shorter than this")
    limit("interactive_sizes", "interactive: mean packet size from LOW to HIGH, and", ("LOW", "HIGH"))
    limit("interactive_iat_std", "greater deviation of the inter-arrival time than this")
    limit("bulk_packets", "bulk transfer: more packets than this")
    limit("timing", "inter-arrival times that separate very fast, fast, medium, slow", ("A", "B", "C"))
    limit("periodic_iat_std", "periodic: smaller deviation of the inter-arrival time than this, and")
    limit("periodic_iat_mean", "greater mean of it than this, and")
    limit("periodic_min_packets", "at least this many packets; 4 or more is recommended", "N", whole)
    limit("sizes", "mean packet sizes that separate small, medium, large, very large", ("A", "B", "C"))
    limits.add_argument("--precedence", choices=("guide", "last"), default=Limits._field_defaults["precedence"],
                        help="if several flow types match, the first (guide) or the last one counts (default: %(default)s)")
    parser.add_argument("-v", "--verbose", action="store_true", help="more log lines")
    parser.add_argument("-q", "--quiet", action="store_true", help="warnings and errors only")
    parser.add_argument("--version", action="version", version=f"{program} {VERSION}")
    arguments = parser.parse_args()
    for name in ("timing", "sizes", "interactive_sizes"):
        values = getattr(arguments, name)
        if list(values) != sorted(values):
            parser.error(f"argument {option_of(name)}: the limits must rise")
        setattr(arguments, name, tuple(values))
    if not 0 <= arguments.correlation <= 1:
        parser.error("argument --correlation: between 0 and 1")
    if arguments.input == "-" == arguments.compare:
        parser.error("argument --compare: standard input cannot be both files")
    return arguments


def start_log(arguments):
    logging.captureWarnings(True)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s - %(levelname)s - %(message)s"))
    for logger in (log, logging.getLogger("py.warnings")):
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if arguments.verbose else logging.WARNING if arguments.quiet else logging.INFO)


class Progress:
    """A line on the terminal that is updated in place."""

    def __init__(self, arguments):
        self._on = sys.stderr.isatty() and not arguments.quiet

    def show(self, text):
        if self._on:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()

    def clear(self):
        self.show("")


def read(source, analysis, progress, sink=None):
    """Adds all flows of a FlowFile to the analysis, and passes them with their classes to the sink."""
    try:
        for rows in source.pieces():
            codes = analysis.add(*source.cells(rows, analysis.correlate_all))
            if sink:
                sink(rows, codes)
            share = source.read_share()
            progress.show(f"{analysis.flows:,} flows read" + (f", {100 * share:.0f} %" if share is not None else ""))
    finally:
        progress.clear()
    return analysis.finish()


def run(program, from_script):
    arguments = command_line(program)
    start_log(arguments)
    needed = ["numpy", "pandas"] + ["matplotlib"] * (not arguments.no_plots)
    if from_script:
        interpreter.require(*needed, remedy="scripts/install-dependencies --analysis")
    if lacking := interpreter.lacks(needed):
        log.error("%s: %s -m pip install 'flowmeter-ebpf[analysis]'", lacking, sys.executable)
        return NO_INPUT
    path = arguments.input or next(filter(os.path.exists, USUAL_INPUTS), None)
    if path is None:
        log.error("no INPUT is given, and none of %s exists", ", ".join(USUAL_INPUTS))
        return NO_INPUT
    from . import flows  # loads pandas

    try:
        return analyse(arguments, path)
    except flows.Unreadable as error:
        log.error("%s", error)
        return NO_INPUT
    except flows.Refused as error:
        log.error("%s", error)
        return REFUSED


class Outputs:
    """The output files. If one cannot be written, this is logged, the exit status is NOT_WRITTEN, and the others are written."""

    def __init__(self, directory):
        self.directory, self.status = directory, DONE

    def path(self, name):
        return os.path.join(self.directory, name)

    def failed(self, name, error):
        log.error("%s: cannot be written: %s", self.path(name), getattr(error, "strerror", None) or error)
        self.status = NOT_WRITTEN

    def write_table(self, name, table):
        from . import tables

        try:
            tables.write(self.path(name), table)
            log.debug("%s: %d rows", name, len(table[1]))
        except OSError as error:
            self.failed(name, error)

    def write_file(self, name, content):
        from . import tables

        try:
            with tables.replacing(self.path(name), "wb") as file:
                file.write(content)
        except OSError as error:
            self.failed(name, error)
            return False
        return True

    def print_directory(self):
        try:
            print(self.directory, flush=True)
        except OSError as error:  # a full disk, or a closed pipe
            log.error("standard output: cannot be written: %s", error.strerror)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # flushing its buffer at exit would fail again
            self.status = NOT_WRITTEN


def read_other(path, limits, progress, remarks):
    """Returns what comparison() needs from the other file. That file is read first, so that only one is in memory at a time."""
    from . import analysis, flows, tables

    source = flows.FlowFile(path)
    result = read(source, analysis.Analysis(limits), progress)
    close(source, result, remarks)
    return tables.compared(result)


def close(source, result, remarks):
    source.close()
    for remark in result.remarks_on(source):
        log.warning("%s", remark)
        remarks.append(remark)


def classify(source, result, progress, outputs):
    """Reads all flows into the result and writes them with their classes."""
    from . import tables

    name = "flows_classified.csv"
    with tables.ClassifiedFlows(outputs.path(name), source.titles) as classified:
        read(source, result, progress, classified.add)
    if classified.error:
        outputs.failed(name, classified.error)


def write_tables(arguments, result, other, outputs):
    """Writes the tables, and returns them for the page."""
    from . import tables

    named = tables.every(result, arguments.correlation, (arguments.compare, other) if other else None)
    for name, table in named.items():
        outputs.write_table(name + ".csv", table.content)
    return named.values()


def draw_pictures(arguments, result, progress, outputs):
    """Draws and writes the plots. Returns (title, PNG or None if it could not be drawn), …"""
    os.environ["MPLBACKEND"] = "Agg"  # no display is needed; a wrong name in the environment would stop the import
    from . import plots

    pictures = []
    for name, draw in plots.PICTURES.items():
        progress.show(f"drawing {name}")
        content = None
        try:
            content = plots.png_of(draw(result), arguments.dpi)
        except Exception as error:  # of matplotlib; the other plots may still work
            progress.clear()
            log.warning("%s: cannot be drawn: %s", name, error, exc_info=arguments.verbose)
            outputs.status = NOT_WRITTEN
        if content and outputs.write_file(name, content):
            log.debug("%s: %d kB", name, len(content) // 1000)
        pictures.append((name.removesuffix(".png").replace("_", " "), content))
    progress.clear()
    return pictures


def analyse(arguments, path):
    import numpy as np

    from . import analysis, flows, page

    np.seterr(all="ignore")  # cells may be as large as floats allow; results that overflow are empty in the tables
    limits = Limits(*(getattr(arguments, name) for name in Limits._fields))
    source = flows.FlowFile(path)
    progress, remarks = Progress(arguments), []
    other = read_other(arguments.compare, limits, progress, remarks) if arguments.compare else None
    beside = "." if path == "-" else os.path.join(os.path.dirname(path), "analysis")
    outputs = Outputs(arguments.output_dir if arguments.output_dir is not None else beside)
    try:
        os.makedirs(outputs.directory, exist_ok=True)
    except OSError as error:
        outputs.failed("", error)
        return outputs.status
    log.debug("%s", limits)
    result = analysis.Analysis(limits, arguments.correlate == "all")
    classify(source, result, progress, outputs)
    close(source, result, remarks)
    log.info("%s: %s flows (%s)", source.path, f"{result.flows:,}", source.layout.name if source.layout else "empty file")
    on_page = write_tables(arguments, result, other, outputs)
    pictures = [] if arguments.no_plots else draw_pictures(arguments, result, progress, outputs)
    outputs.write_file("report.html", page.page(source.path, result, on_page, pictures, remarks).encode())
    outputs.print_directory()
    return outputs.status


def main(program="flowmeter-analyze", from_script=False):
    """Returns the exit status. from_script: it runs from a source tree or a CMake installation, not where pip installed it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # unwinds, which removes temporary files
    try:
        return run(program, from_script)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
