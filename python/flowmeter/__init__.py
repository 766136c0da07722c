# SPDX-License-Identifier: BSD-3-Clause
"""Network flows with the features that flow meters are asked for, from captures and live interfaces.

    import flowmeter

    for flow in flowmeter.read("x.pcap"):
        print(flow["src_ip"], flow["dst_ip"], flow["tot_fwd_pkts"])
    frame = flowmeter.read_frame("x.pcap", features="netflowmeter114")
    for flow in flowmeter.meter("eth0", duration=60):
        ...

It is the program flowmeter-ebpf as a library: the same code, the same numbers. flowmeter.features() tells every column
with unit and definition. flowmeter.sniffer has the interface of the Python cicflowmeter.
"""
from ._errors import CaptureError, Error, MeterWarning
from ._features import Feature, FeatureSet, feature_sets, features, further_columns
from ._native import version as __version__
from ._run import Flow, Flows, Settings, meter, read, read_frame

__all__ = [
    "CaptureError", "Error", "Feature", "FeatureSet", "Flow", "Flows", "MeterWarning", "Settings",
    "feature_sets", "features", "further_columns", "meter", "read", "read_frame",
]
