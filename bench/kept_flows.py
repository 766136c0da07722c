# SPDX-License-Identifier: BSD-3-Clause
import statistics
import subprocess
import tempfile

from .rounds import Part, note, run, spread, table

FLOWS = 120_000  # the default --max-flows of a live run


def bench(context):
    lines = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        for every, label in ((1, "all"), (10, "one in ten"), (1000, "one in a thousand")):
            note(f"kept flows: {label} changed")
            done = run(context.tools / "kept_flows_bench", directory, FLOWS, every, 10 * context.rounds,
                       stdout=subprocess.PIPE)
            samples = [float(line) for line in done.stdout.split()]
            lines.append([label, spread(samples, 1, 2), f"{statistics.median(samples) / 10:.2f} %"])
    return [f"CPU time of one copy of {FLOWS:,} open flows (docs/design.md, Restart), and of one core with a copy each second.\n\n" +
            table(["flows with packets since the last copy", "ms CPU", "of a core"], lines)]


PART = Part("kept-flows", "copies of the open flows for the next daemon (--pin)", ("Flows kept for a restart",), bench)
