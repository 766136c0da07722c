# SPDX-License-Identifier: BSD-3-Clause
"""The package's description of itself (feature sets, settings, types), and what it needs."""
import inspect
import json
import os
import pathlib
import pydoc
import re
import subprocess
import sys
import typing

import flowmeter
import pytest

import cases

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_features_are_those_of_the_program():
    for each in flowmeter.feature_sets():
        listed = json.loads(subprocess.run([cases.meter_path, "features", each.name, "--json"], capture_output=True,
                                           check=True).stdout)
        assert [column._asdict() for column in flowmeter.features(each.name)] == listed["columns"]
        assert each.description == listed["description"]
    first = flowmeter.features()[6]
    assert (first.name, first.unit) == ("flow_duration", "s") and "first packet" in first.definition
    assert [column.name for column in flowmeter.further_columns()][:2] == ["interface", "direction"]
    with pytest.raises(ValueError, match="cic81.*cic82, netflowmeter114"):
        flowmeter.features("cic81")


def test_settings_are_the_options_that_are_keywords():
    """The types that editors see. `scripts/generate-docs --check` compares them with the table, by the native module."""
    done = subprocess.run([sys.executable, "-B", ROOT / "scripts/generate-docs", "--check", cases.meter_path],
                          capture_output=True, text=True, check=True, timeout=60)
    assert "not looked at" not in done.stdout
    offered = {option["name"].replace("-", "_"): option["live_only"] for option in flowmeter._native.options()}
    assert list(flowmeter.Settings.__annotations__) == [name for name, live in offered.items() if not live]
    assert set(flowmeter.LiveSettings.__annotations__) == set(offered)
    assert typing.get_args(flowmeter.LiveSettings.__annotations__["datapath"]) == ("events", "kernel")


def test_signatures_list_the_settings():
    """So help() and the completion of notebooks have them."""
    for function, settings in ((flowmeter.read, flowmeter.Settings), (flowmeter.read_frame, flowmeter.Settings),
                               (flowmeter.meter, flowmeter.LiveSettings)):
        assert set(settings.__annotations__) < set(inspect.signature(function).parameters)
    assert "idle_timeout: float" in pydoc.render_doc(flowmeter.read, renderer=pydoc.plaintext)


def test_native_stub_has_what_the_module_has():
    from flowmeter import _native
    stub = (pathlib.Path(flowmeter.__file__).parent / "_native.pyi").read_text()
    names = {name for name in vars(_native) if not name.startswith("_")}
    assert names == set(re.findall(r"^(?:class|def) (\w+)|^version", stub, re.M)) - {""} | {"version"}
    for kind in ("Meter", "Batch", "Row"):
        methods = {name for name in vars(getattr(_native, kind)) if not name.startswith("_")}
        body = re.search(rf"^class {kind}:\n((?:    .*\n|\n)+)", stub, re.M)[1]
        assert methods == {name for name in re.findall(r"def (\w+)", body) if not name.startswith("_")}


def test_numpy_and_pandas_are_not_needed_to_iterate(small):
    script = ("import sys\nsys.modules['numpy'] = sys.modules['pandas'] = None\n"
              "import flowmeter\nassert len(list(flowmeter.read(sys.argv[1]))) == 3\n")
    subprocess.run([sys.executable, "-c", script, small], check=True, timeout=60)


def test_tools_need_nothing_built():
    """They run from the source tree; without pandas, one line says what is missing."""
    script = ("import sys\nfrom flowmeter.diff.command_line import main\nfrom flowmeter.analysis import command_line\n"
              "assert 'flowmeter._native' not in sys.modules\n"
              "sys.argv[1:] = ['flows.csv']\nsys.exit(command_line.main())\n")
    # -S: without site-packages
    done = subprocess.run([sys.executable, "-S", "-B", "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT / "python")},
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.endswith(f"{sys.executable} has no numpy and no pandas and no matplotlib: {sys.executable} -m pip install "
                                "'flowmeter-ebpf[analysis]'\n")


def test_frame_says_what_to_install(small):
    script = "import sys\nsys.modules['pandas'] = None\nimport flowmeter\nflowmeter.read_frame(sys.argv[1])\n"
    done = subprocess.run([sys.executable, "-c", script, small], capture_output=True, text=True, timeout=60)
    assert done.stderr.endswith("a DataFrame needs pandas: pip install 'flowmeter-ebpf[frame]'\n")


def test_no_column_has_the_name_of_an_attribute_of_flow():
    """flow.NAME is the cell of a column."""
    columns = {column.name for each in flowmeter.feature_sets() for column in flowmeter.features(each.name)}
    columns |= {column.name for column in flowmeter.further_columns()}
    assert not columns & set(dir(flowmeter.Flow))


def test_help_describes_the_settings():
    import pydoc
    for kind in (flowmeter.Settings, flowmeter.LiveSettings):
        text = pydoc.plain(pydoc.render_doc(kind))
        for name in kind.__annotations__.keys() - (set() if kind is flowmeter.Settings else flowmeter.Settings.__annotations__):
            assert re.search(rf"^ \|  {name}: \S", text, re.M), name
    assert "idle_timeout: Seconds: a longer silence ends a TCP or UDP flow" in flowmeter.Settings.__doc__


def test_submodules_are_attributes():
    script = "import flowmeter\nflowmeter.diff.compare, flowmeter.sniffer.create_sniffer\nassert 'models' in dir(flowmeter)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
