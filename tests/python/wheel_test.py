# SPDX-License-Identifier: BSD-3-Clause
"""pip installs this checkout into a new virtual environment. The build requirements come from the package index."""
import os
import pathlib
import subprocess
import venv

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("METER_BUILD_DIR")
LABEL = "pip"
PIP = ["-m", "pip", "--disable-pip-version-check", "--no-input", "--retries=1", "--timeout=15"]

pytestmark = pytest.mark.skipif(not BUILD, reason="METER_BUILD_DIR names no build directory")


def run(*command, **environment):
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FLOWMETER_BUILD_DIR")}
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=230, env={**variables, **environment})


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment in which pip can build this package."""
    directory = tmp_path_factory.mktemp("environment")
    venv.create(directory, with_pip=True)
    interpreter = directory / "bin" / "python"
    # The build requirements are pure Python. pip keeps them in its cache.
    done = run(interpreter, *PIP, "download", "--quiet", "--no-deps", "--dest", directory / "tried", "pybind11>=2.13,<4")
    if done.returncode:
        pytest.skip("the package index does not answer")
    return interpreter


def test_pip_uses_the_libraries_of_a_build_directory(python, small):
    done = run(python, *PIP, "install", "-v", ROOT, FLOWMETER_BUILD_DIR=BUILD)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "native.cpp.o" in done.stdout and "replay.cpp.o" not in done.stdout
    said = run(python, "-c", "import flowmeter, sys\nprint(flowmeter.__file__, len(list(flowmeter.read(sys.argv[1]))))", small)
    assert said.returncode == 0, said.stdout
    package, flows = said.stdout.split()
    package = pathlib.Path(package).parent
    assert package.is_relative_to(python.parents[1]) and flows == "3"
    assert (package / "py.typed").exists() and (package / "_native.pyi").exists()
    [information] = package.parent.glob("flowmeter_ebpf-*.dist-info")
    assert {path.name for path in (information / "licenses").rglob("LICENSE*")} == {"LICENSE", "LICENSE.GPL-2.0"}
    for entry_point, option, begin in (("flowmeter-diff", "--modes", "| column |"),
                                       ("flowmeter-analyze", "--version", "flowmeter-analyze ")):
        assert run(python.parent / entry_point, option).stdout.startswith(begin)


@pytest.mark.parametrize("directory", ["missing", "another"])
def test_a_directory_that_is_no_build_is_an_error(python, tmp_path, directory):
    (tmp_path / "another").mkdir()
    (tmp_path / "another" / "CMakeCache.txt").write_text("CMAKE_PROJECT_NAME:STATIC=another\nFLOWMETER_PYTHON:BOOL=ON\n")
    done = run(python, *PIP, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT, FLOWMETER_BUILD_DIR=tmp_path / directory)
    assert done.returncode == 1
    assert f"FLOWMETER_BUILD_DIR={tmp_path / directory} is not a build directory of flowmeter-ebpf" in done.stdout
