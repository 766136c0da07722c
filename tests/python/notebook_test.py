# SPDX-License-Identifier: BSD-3-Clause
"""docs/examples/flowmeter.ipynb: every cell runs in a new kernel, shows what it should, and prints no warning."""
import pathlib

import nbclient
import nbformat
import pytest
import traitlets.config

LABEL = "environment"
ENVIRONMENTS = "tools"
EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "examples"




@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    notebook = nbformat.read(EXAMPLES / "flowmeter.ipynb", as_version=4)
    nbformat.validate(notebook)
    # By sockets of files, because TCP ports can be taken.
    sockets = traitlets.config.Config({"KernelManager": {"transport": "ipc", "ip": str(tmp_path_factory.mktemp("kernel") / "s")}})
    nbclient.NotebookClient(notebook, config=sockets, kernel_name="python3", timeout=120,
                            resources={"metadata": {"path": EXAMPLES}}).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_no_cell_fails_or_warns(cells):
    """execute() raises the error of a cell that fails. A warning is text on standard error."""
    assert len(cells) > 10
    for cell in cells:
        assert cell.outputs and {output.output_type for output in cell.outputs} <= {"execute_result", "display_data"}, cell


@pytest.mark.parametrize("source, kind, part", [
    ("flows\n", "text/plain", "Flows"),
    ("first\n", "text/plain", "192.0.2.53"),
    ("read_frame", "text/html", "<td>192.0.2.80</td>"),
    ("analyze(frame)", "text/html", "Quick Request"),
    ("figure(", "image/png", ""),
    ("plot.scatter", "image/png", ""),
    ("found\n", "text/html", "flow_duration"),
])
def test_what_is_shown(cells, source, kind, part):
    [shown] = [output.data for cell in cells if source in cell.source + "\n" for output in cell.outputs if kind in output.data][:1]
    assert part in shown[kind]
