# SPDX-License-Identifier: BSD-3-Clause
"""Compares the flows of two CSVs, column by column, and says why they differ.

    PROGRAM A.csv B.csv [--capture X.pcap] [--text] [--csv OUT.csv] [--html OUT.html]
    PROGRAM --modes

A and B (plain or .gz) come from flowmeter-ebpf in any mode, the Python cicflowmeter (nqmn, hieulw) or the Java CICFlowMeter
4.0; the header and the time stamps show which. Without --capture, flows are matched by addresses, ports and times, and rules
predict the other program's row from the correct one, if one of the files comes from the correct mode. With --capture, flows
are matched by their packets, every cell of both files is computed from the packets, and a difference counts as explained
only if named rules lead exactly from one cell to the other. Time stamps are read as UTC: run the Java and Python programs
with TZ=UTC.

  --capture X.pcap   the capture from which both were made (pcap or pcapng, or .gz)
  --text             print the report as text; the default unless --csv or --html is given
  --csv OUT.csv      write it as CSV: columns, rows without a partner, cells without explanation; - is standard output
  --html OUT.html    write it as one page with plots
  --modes            print the table of all columns and rules, as Markdown

It needs only Python 3.9 or newer and its standard library.
Exit status: 0 equal, or every difference is explained; 1 some are not; 2 wrong usage, or a file that cannot be compared.
"""
import argparse
import sys

from . import comparison, report, rules, table


def fail(text):
    print(f"diff: {text}", file=sys.stderr)
    return 2


def write(path, content):
    if path == "-":
        sys.stdout.write(content)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)


def main(program="flowmeter-diff"):
    parser = argparse.ArgumentParser(prog=program, usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--capture")
    parser.add_argument("--text", action="store_true")
    parser.add_argument("--csv")
    parser.add_argument("--html")
    parser.add_argument("--modes", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    arguments = parser.parse_args()
    if arguments.help:
        print(__doc__.strip().replace("PROGRAM", program))
        return 0
    if arguments.modes:
        print("\n".join(rules.modes_table()))
        return 0
    if len(arguments.files) != 2:
        return fail(f"two CSV files are needed, not {len(arguments.files)}; see --help")
    try:
        a, b = map(table.read, arguments.files)
        if not a.rows and not b.rows:
            print("neither file has any flows")
            return 0
        result = comparison.compare(a, b, table.capture(arguments.capture) if arguments.capture else None)
        if arguments.text or not (arguments.csv or arguments.html):
            write("-", report.text(result))
        if arguments.csv:
            write(arguments.csv, report.table(result))
        if arguments.html:
            write(arguments.html, report.page(result))
    except table.Unusable as error:
        return fail(str(error))
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 2
    except OSError as error:
        return fail(f"{error.filename}: {error.strerror}")
    return 1 if result.unexplained() else 0

