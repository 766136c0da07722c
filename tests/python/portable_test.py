# SPDX-License-Identifier: BSD-3-Clause
"""scripts/build-wheel: its wheel runs in an empty environment and gives the rows of the program; its source distribution is
complete, because the wheel is built from it. It compiles the whole package, so only the full tier runs it."""
import csv
import io
import pathlib
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

LABEL = "wheel"
ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = """if 1:
    import csv, flowmeter, sys
    rows = csv.writer(sys.stdout)
    for flow in flowmeter.read(sys.argv[1], fields=sys.argv[2]):
        rows.writerow(flow.as_tuple())
"""
FIELDS = "src_ip,dst_ip,src_port,dst_port,protocol,tot_fwd_pkts,tot_bwd_pkts,flow_duration"


def run(*command):
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=800, cwd="/", env={"PATH": "/usr/local/bin:/usr/bin:/bin"})
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def test_wheel_and_source_distribution(tmp_path, capture, program):
    index = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path / "tried",
                            "pybind11"], capture_output=True, timeout=100, check=False)
    if index.returncode:
        pytest.skip("the package index does not answer")
    run(ROOT / "scripts" / "build-wheel", "--python", sys.executable, tmp_path / "dist")
    [source] = (tmp_path / "dist").glob("flowmeter_ebpf-*.tar.gz")
    [wheel] = (tmp_path / "dist").glob("flowmeter_ebpf-*.whl")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CMakeLists.txt", "LICENSE", "bpf/flowmeter.bpf.c", "python/native.cpp", "python/flowmeter/py.typed"} <= names
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{version}-{version}-manylinux_2_" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        licences = {name.split("/")[-2] for name in archive.namelist() if "/licenses/" in name}
    assert {"libbpf-dev", "libelf-dev", "libpcap0.8-dev", "libzstd-dev", "zlib1g-dev", "libstdc++6", "bpf"} <= licences

    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-index", "--no-deps", wheel)
    rows = list(csv.reader(io.StringIO(run(python, "-c", ROWS, capture, FIELDS))))
    expected = list(csv.reader(io.StringIO(program("-f", capture, "--fields", FIELDS))))[1:]
    assert len(rows) > 17_000
    assert [[float(cell) if number > 1 else cell for number, cell in enumerate(row)] for row in rows] == \
        [[float(cell) if number > 1 else cell for number, cell in enumerate(row)] for row in expected]
