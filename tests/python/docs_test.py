# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/python.md run as they are written, without a warning. live_test.py runs those that meter."""
import importlib.util
import re
import shutil
import subprocess
import sys

import pytest

import doc_examples

ENVIRONMENTS = "newest"

# What an example takes as given.
MODEL = """
import types
model = types.SimpleNamespace(feature_names_in_=["duration", "packets_count"], predict=lambda frame: frame.sum())
"""


def test_the_document_has_examples():
    assert len(doc_examples.examples(live=False)) >= 3 and len(doc_examples.examples(live=True)) >= 2


@pytest.mark.parametrize("heading, example", doc_examples.examples(live=False), ids=lambda text: text.partition("\n")[0])
def test_an_example(tmp_path, heading, example):
    needed = {*re.findall(r"^import (\w+)", example, re.M), *(["pandas"] if "frame" in example else [])}
    for module in sorted(needed - {"flowmeter"}):
        if not importlib.util.find_spec(module):
            pytest.skip(f"{module} is not installed")
    for name in ("x.pcap", "example.pcap"):
        shutil.copy(doc_examples.ROOT / "docs/examples/example.pcap", tmp_path / name)
    program = (MODEL if "model." in example else "") + example
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and "Warning" not in done.stderr, heading + done.stderr
    assert done.stderr == "" or "verbose=True" in example
    if "print(" in example:
        assert "192.0.2.10 " in done.stdout
    for written in re.findall(r'"(\S+\.(?:parquet|feather|csv))"', example):
        assert (tmp_path / written).stat().st_size > 0
