# SPDX-License-Identifier: BSD-3-Clause
"""Finds a Python that has the packages. Debian's packages are for /usr/bin/python3, which may not be the first in PATH."""
import importlib.util
import os
import sys

DEBIAN = "/usr/bin/python3"


def missing(*modules):
    """The names of the modules that this Python lacks."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def require(*modules):
    """Starts the script again under Debian's Python if this one lacks a module; returns the names of those that neither has."""
    lacking = missing(*modules)
    if lacking and os.access(DEBIAN, os.X_OK) and "FLOW_ANALYZER_PYTHON" not in os.environ:
        os.environ["FLOW_ANALYZER_PYTHON"] = sys.executable or "?"  # only once: if that lacks them, too, it is reported
        sys.stdout.flush()
        os.execv(DEBIAN, [DEBIAN, "-B", *sys.argv])
    return lacking
