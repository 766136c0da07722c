# SPDX-License-Identifier: BSD-3-Clause
"""flowmeter.read_frame(): a DataFrame with the cells of the CSV, and with dtypes that do not depend on the traffic."""
import io

import flowmeter
import pytest

import capture as frames

pandas = pytest.importorskip("pandas", reason="python3-pandas is not installed")

from flowmeter.analysis.flows import EXACT  # noqa: E402  needs pandas

ENVIRONMENTS = "newest older"

SETS = [each.name for each in flowmeter.feature_sets()]
EXTRA = "interface,direction,end_reason,evictions,meter_id,flow_id,flow_key,community_id"


@pytest.mark.parametrize("features", SETS)
def test_a_frame_is_the_csv(capture, program, features):
    frame = flowmeter.read_frame(capture, features=features, extra=EXTRA)
    text = program("-f", capture, "--features", features, "--extra", EXTRA)
    expected = pandas.read_csv(io.StringIO(text), dtype={name: frame[name].dtype for name in frame.columns},
                               **EXACT)
    assert list(frame.columns) == text.partition("\n")[0].split(",")
    assert len(frame) == text.count("\n") - 1 > 2 * 8192
    for name in frame.columns:
        if frame[name].dtype == "category":  # the order of the categories does not matter
            assert frame[name].astype("string").equals(expected[name].astype("string")), name
        else:
            pandas.testing.assert_series_equal(frame[name], expected[name], check_exact=True)


def test_dtypes(small):
    frame = flowmeter.read_frame(small, extra=EXTRA)
    assert {str(dtype) for dtype in frame.dtypes} == {"int64", "float64", "string", "category"}
    for name, dtype in (("src_ip", "string"), ("timestamp", "string"), ("src_port", "int64"), ("protocol", "int64"),
                        ("flow_duration", "float64"), ("tot_fwd_pkts", "int64"), ("fwd_pkt_len_max", "int64"),
                        ("fwd_pkt_len_mean", "float64"), ("end_reason", "category"), ("interface", "category"),
                        ("meter_id", "category"), ("flow_id", "string"), ("flow_key", "string"), ("community_id", "string")):
        assert frame[name].dtype == dtype, name
    assert frame["interface"].isna().all()
    assert flowmeter.read_frame(small, features="netflowmeter114")["protocol"].dtype == "category"
    assert str(pandas.to_datetime(frame["timestamp"])[1]) == "1970-01-01 00:00:02"


@pytest.mark.parametrize("features", SETS)
@pytest.mark.parametrize("packets", [(), [(1.0, frames.ethernet(frames.ipv4(1, bytes([8, 0, 0, 0, 0, 7, 0, 1]))))]],
                         ids=["no flow", "only ICMP"])
def test_dtypes_do_not_depend_on_the_traffic(tmp_path, capture, features, packets):
    path = tmp_path / "x.pcap"
    path.write_bytes(frames.pcap(packets))
    frame = flowmeter.read_frame(path, features=features)
    assert len(frame) == len(packets)
    usual = flowmeter.read_frame(capture, features=features)
    assert [str(dtype) for dtype in frame.dtypes] == [str(dtype) for dtype in usual.dtypes]


def test_a_frame_can_be_changed_and_analysed(capture):
    frame = flowmeter.read_frame(capture, fields="src_ip,dst_ip,tot_fwd_pkts,protocol")
    frame["tot_fwd_pkts"] += 1
    assert frame["tot_fwd_pkts"].min() >= 1
    assert (frame.groupby("protocol")["tot_fwd_pkts"].sum() > 0).all()
    assert len(frame[frame["src_ip"] == "10.1.0.7"]) == 1


def test_a_frame_of_what_is_left(capture):
    flows = flowmeter.read(capture)
    first = next(flows)
    assert first["src_ip"] == "192.0.2.1"
    frame, whole = flows.frame(), flowmeter.read_frame(capture)
    assert len(whole) == flows.account["flows"]
    assert frame.equals(whole.iloc[1:].reset_index(drop=True))
    assert list(flows) == []


def test_a_damaged_capture(damaged):
    with pytest.warns(flowmeter.MeterWarning, match="after packet 7"):
        assert len(flowmeter.read_frame(damaged)) == 2
    with pytest.raises(flowmeter.CaptureError, match="after packet 7"):
        flowmeter.read_frame(damaged, strict=True)
