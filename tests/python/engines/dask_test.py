# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/python-archives.md for Dask, as they stand there, on the captures of this test."""
import pathlib
import re

import archives
import cases
import pytest

pytest.importorskip("dask.dataframe", reason="dask[dataframe] is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")

LABEL = "environment"
ENVIRONMENTS = "engines"
LOCK = "engines"
DOCUMENT = pathlib.Path(cases.ROOT) / "docs" / "python-archives.md"


def test_examples(tmp_path):
    output = tmp_path / "flows"
    output.mkdir()
    for network in range(3):
        (tmp_path / f"{network}.pcap").write_bytes(archives.capture_of(30, network))
    captures = sorted(map(str, tmp_path.glob("*.pcap")))
    expected = archives.one_process(captures)
    files, frames = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8").partition("## Dask")[2], re.S)
    names = {}
    exec(files.replace("/captures", str(tmp_path)).replace("/flows/2026", str(output)), names)
    assert [report["flows"] for report in names["reports"]] == [33, 33, 33]
    assert names["frame"]["tot_fwd_pkts"].sum().compute() == sum(row["tot_fwd_pkts"] for row in expected)
    (tmp_path / "0.pcap").write_bytes(b"no capture")
    assert "not a pcap" in names["store"](captures[0])["error"]
    assert names["store"](captures[0] + "x")["error"].endswith("No such file or directory: " + repr(captures[0] + "x"))

    names["captures"] = captures[1:]
    exec(frames, names)
    frame = names["frame"].compute()
    assert list(frame["source_file"]) == [row["source_file"] for row in expected if row["source_file"] != captures[0]]
    assert list(frame["src_ip"]) == [row["src_ip"] for row in expected if row["source_file"] != captures[0]]
