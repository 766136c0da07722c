# SPDX-License-Identifier: BSD-3-Clause
"""One replay through the Python package, for scripts/bench: python_replay.py HOW CAPTURE.

Prints as JSON the number of rows, CPU and wall seconds, and the CPU seconds of interpreter start and imports before.
"""
import importlib
import json
import resource
import sys
import time

HOW, CAPTURE = sys.argv[1:]  # csv: the file is CSV
# pyarrow.table() imports pandas if there is one.
NEEDS = {"frame": ["pandas"], "arrow": ["pandas", "pyarrow"], "stream": ["pyarrow"], "batches": ["pandas", "pyarrow"],
         "csv": ["pyarrow.csv"], "parquet": ["pyarrow.parquet"], "nfstream": ["nfstream"]}
for module in NEEDS.get(HOW, []) + ["flowmeter"] * (HOW not in ("csv", "nfstream")):
    importlib.import_module(module)  # so that it does not count in the replay
flowmeter = sys.modules.get("flowmeter")
pyarrow = sys.modules.get("pyarrow")


def cpu_seconds():
    usages = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


imports = before = cpu_seconds()
began = time.monotonic()
rows = 0
if HOW == "frame":
    rows = len(flowmeter.read_frame(CAPTURE))
elif HOW == "flows":
    for flow in flowmeter.read(CAPTURE):
        rows += 1
elif HOW == "cells":  # like a filter or a counter
    total_bytes = 0
    for flow in flowmeter.read(CAPTURE):
        if flow["protocol"] == 6 and flow["dst_port"] != 443 and flow["flow_duration"] > 0:
            total_bytes += flow["totlen_fwd_pkts"] + flow["totlen_bwd_pkts"]
        rows += 1
elif HOW == "dicts":
    for flow in flowmeter.read(CAPTURE):
        flow.as_dict()
        rows += 1
elif HOW == "fields":  # an application that needs five of the columns
    for flow in flowmeter.read(CAPTURE, fields="src_ip,dst_ip,dst_port,protocol,totlen_fwd_pkts"):
        flow.as_tuple()
        rows += 1
elif HOW == "arrow":
    rows = pyarrow.table(flowmeter.read(CAPTURE)).num_rows
elif HOW == "stream":
    for batch in pyarrow.RecordBatchReader.from_stream(flowmeter.read(CAPTURE)):
        rows += batch.num_rows
elif HOW == "parquet":
    rows = flowmeter.write_parquet(CAPTURE, CAPTURE + ".parquet")["flows"]
elif HOW == "csv":
    rows = pyarrow.csv.read_csv(CAPTURE).num_rows
elif HOW == "batches":  # what the hand-over to Arrow takes, after the replay
    flows = flowmeter.read(CAPTURE)
    batches = []
    while (batch := flows._meter.next_batch()) is not None:
        batches.append((batch, len(batch)))
    flows._meter.wait(None)
    flows._hand_over = lambda: batches
    before, began = cpu_seconds(), time.monotonic()
    rows = pyarrow.table(flows).num_rows
elif HOW == "nfstream":
    rows = len(sys.modules["nfstream"].NFStreamer(CAPTURE, statistical_analysis=True, n_meters=1, n_dissections=0).to_pandas())
print(json.dumps({"rows": rows, "cpu_s": cpu_seconds() - before, "wall_s": time.monotonic() - began, "imports_s": imports}))
