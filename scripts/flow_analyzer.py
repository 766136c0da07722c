#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs flowmeter-analyze of the Python package, which does not need the native module. See --help."""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
# If this file is installed, the package is beside it, where Python looks first; in a source tree it is in python/.
sys.path.insert(1, str(HERE.parent / "python"))
sys.dont_write_bytecode = True  # the checkout may belong to someone else
from flowmeter import interpreter  # noqa: E402

interpreter.require()
from flowmeter.analysis.command_line import main  # noqa: E402

sys.exit(main("flow_analyzer.py", from_script=True))
