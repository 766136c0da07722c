# SPDX-License-Identifier: BSD-3-Clause
"""Network flows with CICFlowMeter features, from captures and live interfaces.

    import flowmeter

    for flow in flowmeter.read("x.pcap"):
        print(flow["src_ip"], flow["dst_ip"], flow["tot_fwd_pkts"])
    frame = flowmeter.read_frame("x.pcap", features="netflowmeter114")
    for flow in flowmeter.meter("eth0", duration=60):
        ...

It is the program flowmeter-ebpf as a library: the same code, the same numbers. flowmeter.features() lists every column
with its unit and definition. flowmeter.sniffer has the interface of the Python cicflowmeter.

Modules are loaded when they are first used, the native module when a name below is. So flowmeter.diff, flowmeter.analysis and flowmeter.models
also work in a source tree where nothing is built.
"""
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._errors import CaptureError, Error, MeterWarning
    from ._features import Feature, FeatureSet, feature_sets, features, further_columns
    from . import _native
    from ._run import Flow, Flows, meter, read, read_frame, write_feather, write_parquet
    from ._settings import LiveSettings, Settings

    __version__ = _native.version

__all__ = [
    "CaptureError", "Error", "Feature", "FeatureSet", "Flow", "Flows", "LiveSettings", "MeterWarning", "Settings",
    "feature_sets", "features", "further_columns", "meter", "read", "read_frame", "write_feather", "write_parquet",
]

_MODULES = {
    "_errors": ("CaptureError", "Error", "MeterWarning"),
    "_features": ("Feature", "FeatureSet", "feature_sets", "features", "further_columns"),
    "_run": ("Flow", "Flows", "meter", "read", "read_frame", "write_feather", "write_parquet"),
    "_settings": ("LiveSettings", "Settings"),
}
_SUBMODULES = ("analysis", "diff", "models", "ray", "sniffer", "spark")
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    import importlib

    if name == "__version__":
        value = importlib.import_module("._native", __name__).version
    elif name in _SUBMODULES:
        value = importlib.import_module("." + name, __name__)
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module("." + _MODULE_OF[name], __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value  # next time, it is found without this function
    return value


def __dir__() -> "list[str]":  # not evaluated: interpreter.py also runs under old Pythons
    return sorted({*globals(), *__all__, *_SUBMODULES, "__version__"} - {"TYPE_CHECKING"})
