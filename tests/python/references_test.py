# SPDX-License-Identifier: BSD-3-Clause
"""All captures of a reference set beside the repository, even malformed ones: Python gets the same rows as the program, and
fails if the program fails."""
import csv
import io
import pathlib
import subprocess
import warnings

import cases
import flowmeter
import pytest

CAPTURES = pathlib.Path(cases.ROOT).parent / "shared" / "pcaps"

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no reference set at {CAPTURES}")


def equal(value, text):
    if isinstance(value, float):
        return value == float(text)
    return text == ("" if value is None else str(value))


@pytest.mark.parametrize("features", [each.name for each in flowmeter.feature_sets()])
def test_rows_of_every_capture(features):
    captures = sorted(path for folder in (CAPTURES, CAPTURES / "odd") for path in folder.glob("*.pcap*"))
    assert captures
    rows = 0
    for path in captures:
        done = subprocess.run([cases.meter_path, "-q", "-f", path, "-c", "-", "--features", features],
                              capture_output=True, text=True, timeout=60)
        got, warned = [], []
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                for flow in flowmeter.read(path, features=features):
                    got.append(flow)
                failed = ""
            except flowmeter.CaptureError as error:
                failed = str(error)
        said = [line.removeprefix("flowmeter-ebpf: ") for line in done.stderr.splitlines()]
        assert said == [f"warning: {each.message}" for each in warned] + ([f"error: {failed}"] if failed else []), path
        assert (done.returncode != 0) == bool(failed), path
        expected = list(csv.DictReader(io.StringIO(done.stdout)))
        assert len(got) == len(expected), path
        for flow, row in zip(got, expected):
            unequal = {name: (value, row[name]) for name, value in flow.items() if not equal(value, row[name])}
            assert not unequal, path
        rows += len(got)
    assert rows > 1000
