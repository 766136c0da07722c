# SPDX-License-Identifier: BSD-3-Clause
"""One replay through the Python package, for scripts/bench: python_replay.py HOW CAPTURE.

Prints as JSON the number of flows, the CPU seconds of the replay, and those of interpreter start and imports before it.
"""
import importlib
import json
import resource
import sys

import flowmeter

HOW, CAPTURE = sys.argv[1:]
if HOW == "frame":
    importlib.import_module("pandas")  # so that it does not count in the replay


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


before = cpu_seconds()
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
print(json.dumps({"rows": rows, "cpu_s": cpu_seconds() - before, "imports_s": before}))
