# SPDX-License-Identifier: BSD-3-Clause
"""Which Python runs a script, and what it lacks. Debian's packages are for /usr/bin/python3, which may not be the first in
PATH. This file also runs under old Pythons (3.6), because these must be told that they are too old."""
import importlib.util
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBIAN = "/usr/bin/python3"
OLDEST = (3, 9)
_TRIED = "METER_SCRIPT_PYTHON"  # the Python that was tried first


def missing(*modules: str) -> "list[str]":
    """The names of the modules that this Python lacks."""
    return [name for name in modules if importlib.util.find_spec(name) is None]


def lacks(modules: "Sequence[str]" = (), oldest: "tuple[int, int]" = OLDEST) -> str:
    """What this Python lacks, in words that begin with its path; "" if nothing."""
    if sys.version_info < oldest:
        return "{} is Python {}.{}.{}, and {}.{} or newer is needed".format(sys.executable, *sys.version_info[:3], *oldest)
    absent = missing(*modules)
    return "{} has no {}".format(sys.executable, " and no ".join(absent)) if absent else ""


def check(extra: str, *modules: str) -> None:
    """Raises ModuleNotFoundError, which says how to install them, if this Python lacks modules. extra: pip's name of them."""
    absent = missing(*modules)
    if absent:
        raise ModuleNotFoundError("{}: {} -m pip install 'flowmeter-ebpf[{}]'".format(lacks(modules), sys.executable, extra),
                                  name=absent[0])


def require(*modules: str, oldest: "tuple[int, int]" = OLDEST, remedy: str = "scripts/install-dependencies --test") -> None:
    """Starts the script again under Debian's Python if this one lacks something. If that lacks it, too, it ends the script
    with one line. remedy: the command that installs the packages for Debian's Python."""
    lacking = lacks(modules, oldest)
    if not lacking:
        return
    if os.access(DEBIAN, os.X_OK) and _TRIED not in os.environ and os.path.realpath(sys.executable) != os.path.realpath(DEBIAN):
        os.environ[_TRIED] = sys.executable or "?"
        sys.stdout.flush()
        os.execv(DEBIAN, [DEBIAN, "-B"] + sys.argv)
    first = os.environ.get(_TRIED)
    also = ", nor has {}".format(first) if first else ""
    help_is = "start it with another Python"
    if sys.version_info >= oldest:
        help_is = "{}, or {} -m pip install {}".format(remedy, first or sys.executable, " ".join(missing(*modules)))
    sys.stderr.write("{}: {}{}: {}\n".format(os.path.basename(sys.argv[0]), lacking, also, help_is))
    sys.exit(1)
