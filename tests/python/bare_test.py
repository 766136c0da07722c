# SPDX-License-Identifier: BSD-3-Clause
"""The package in an environment without any other: captures are read, and what needs a package says which one to install."""
import os
import subprocess
import sys
import venv

import pytest


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Runs code in a virtual environment without packages, and returns the finished process."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=False)

    def run(code, *arguments):
        return subprocess.run([directory / "bin" / "python", "-B", "-W", "error", "-c", code, *map(str, arguments)],
                              capture_output=True, text=True, timeout=60, env={**os.environ, "PYTHONNOUSERSITE": "1"})

    return run


def test_flows_need_no_package(bare, small):
    done = bare("import importlib.util, sys, flowmeter\n"
                "assert not any(importlib.util.find_spec(name) for name in ('numpy', 'pandas', 'pyarrow', 'tqdm', 'pip'))\n"
                "flows = flowmeter.read(sys.argv[1])\n"
                "print([flow['tot_fwd_pkts'] for flow in flows], flows.account['seen'], sys.prefix != sys.base_prefix)\n", small)
    assert (done.stdout, done.stderr) == ("[1, 2, 1] 8 True\n", "")


def test_flows_are_compared_without_a_package(bare, small):
    done = bare("import sys, flowmeter\nfrom flowmeter import diff\n"
                "print(diff.compare(flowmeter.read(sys.argv[1]), flowmeter.read(sys.argv[1])).equal)\n", small)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("call, package, extra", [
    ("flowmeter.read_frame(path)", "numpy", "frame"),
    ("flowmeter.read(path).frame()", "numpy", "frame"),
    ("flowmeter.write_parquet(path, 'x.parquet')", "pyarrow", "arrow"),
    ("flowmeter.write_feather(path, 'x.feather')", "pyarrow", "arrow"),
    ("analysis.analyze('flows.csv')", "numpy and no pandas", "analysis"),
])
def test_what_needs_a_package_says_so_in_one_line(bare, small, call, package, extra):
    done = bare(f"import sys, flowmeter\nfrom flowmeter import analysis\npath = sys.argv[1]\ntry:\n    {call}\n"
                "except ModuleNotFoundError as error:\n    print(error)\n", small)
    assert done.stdout.count("\n") == 1, done.stderr
    assert package in done.stdout and f"pip install 'flowmeter-ebpf[{extra}]'" in done.stdout


def test_this_is_the_interpreter_of_the_tests(bare):
    assert bare("import sys; print(sys.version)").stdout == sys.version + "\n"
