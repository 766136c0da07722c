# SPDX-License-Identifier: BSD-3-Clause
"""The table of columns: their names in each program, their units, and how a cell is read.

A row is a dict from the names of the 82 columns to numbers in the unit of *its* program: times of the Java program are in
microseconds, those of the others in seconds. `canonical` converts both to one unit. Time stamps are integer nanoseconds.
"""
import datetime
import math
from typing import NamedTuple

CORRECT, PYTHON, JAVA = "correct", "python", "java"
PROGRAMS = {
    CORRECT: "flowmeter-ebpf",
    PYTHON: "--compat python, the Python cicflowmeter (nqmn, hieulw)",
    JAVA: "--compat java, the Java CICFlowMeter",
}
KEY = ("src_ip", "dst_ip", "src_port", "dst_port", "protocol", "timestamp")
NS = 10**9


class Column(NamedTuple):
    name: str  # flowmeter-ebpf, and the Python programs
    java: str
    unit: str
    unit_java: str


# name | Java's name | unit [| Java's unit]
_TABLE = """
src_ip|Src IP|text
dst_ip|Dst IP|text
src_port|Src Port|-
dst_port|Dst Port|-
protocol|Protocol|-
timestamp|Timestamp|UTC|local time
flow_duration|Flow Duration|s
flow_byts_s|Flow Bytes/s|B/s
flow_pkts_s|Flow Packets/s|1/s
fwd_pkts_s|Fwd Packets/s|1/s
bwd_pkts_s|Bwd Packets/s|1/s
tot_fwd_pkts|Total Fwd Packet|packets
tot_bwd_pkts|Total Bwd packets|packets
totlen_fwd_pkts|Total Length of Fwd Packet|B
totlen_bwd_pkts|Total Length of Bwd Packet|B
fwd_pkt_len_max|Fwd Packet Length Max|B
fwd_pkt_len_min|Fwd Packet Length Min|B
fwd_pkt_len_mean|Fwd Packet Length Mean|B
fwd_pkt_len_std|Fwd Packet Length Std|B
bwd_pkt_len_max|Bwd Packet Length Max|B
bwd_pkt_len_min|Bwd Packet Length Min|B
bwd_pkt_len_mean|Bwd Packet Length Mean|B
bwd_pkt_len_std|Bwd Packet Length Std|B
pkt_len_max|Packet Length Max|B
pkt_len_min|Packet Length Min|B
pkt_len_mean|Packet Length Mean|B
pkt_len_std|Packet Length Std|B
pkt_len_var|Packet Length Variance|B^2
fwd_header_len|Fwd Header Length|B
bwd_header_len|Bwd Header Length|B
fwd_seg_size_min|Fwd Seg Size Min|B
fwd_act_data_pkts|Fwd Act Data Pkts|packets
flow_iat_mean|Flow IAT Mean|s
flow_iat_max|Flow IAT Max|s
flow_iat_min|Flow IAT Min|s
flow_iat_std|Flow IAT Std|s
fwd_iat_tot|Fwd IAT Total|s
fwd_iat_max|Fwd IAT Max|s
fwd_iat_min|Fwd IAT Min|s
fwd_iat_mean|Fwd IAT Mean|s
fwd_iat_std|Fwd IAT Std|s
bwd_iat_tot|Bwd IAT Total|s
bwd_iat_max|Bwd IAT Max|s
bwd_iat_min|Bwd IAT Min|s
bwd_iat_mean|Bwd IAT Mean|s
bwd_iat_std|Bwd IAT Std|s
fwd_psh_flags|Fwd PSH Flags|packets
bwd_psh_flags|Bwd PSH Flags|packets
fwd_urg_flags|Fwd URG Flags|packets
bwd_urg_flags|Bwd URG Flags|packets
fin_flag_cnt|FIN Flag Count|packets
syn_flag_cnt|SYN Flag Count|packets
rst_flag_cnt|RST Flag Count|packets
psh_flag_cnt|PSH Flag Count|packets
ack_flag_cnt|ACK Flag Count|packets
urg_flag_cnt|URG Flag Count|packets
ece_flag_cnt|ECE Flag Count|packets
down_up_ratio|Down/Up Ratio|-
pkt_size_avg|Average Packet Size|B
init_fwd_win_byts|FWD Init Win Bytes|B
init_bwd_win_byts|Bwd Init Win Bytes|B
active_max|Active Max|s
active_min|Active Min|s
active_mean|Active Mean|s
active_std|Active Std|s
idle_max|Idle Max|s
idle_min|Idle Min|s
idle_mean|Idle Mean|s
idle_std|Idle Std|s
fwd_byts_b_avg|Fwd Bytes/Bulk Avg|B
fwd_pkts_b_avg|Fwd Packet/Bulk Avg|packets
bwd_byts_b_avg|Bwd Bytes/Bulk Avg|B
bwd_pkts_b_avg|Bwd Packet/Bulk Avg|packets
fwd_blk_rate_avg|Fwd Bulk Rate Avg|B/s
bwd_blk_rate_avg|Bwd Bulk Rate Avg|B/s
fwd_seg_size_avg|Fwd Segment Size Avg|B
bwd_seg_size_avg|Bwd Segment Size Avg|B
cwr_flag_count|CWR Flag Count|packets
subflow_fwd_pkts|Subflow Fwd Packets|packets
subflow_bwd_pkts|Subflow Bwd Packets|packets
subflow_fwd_byts|Subflow Fwd Bytes|B
subflow_bwd_byts|Subflow Bwd Bytes|B
"""


def _columns():
    for line in _TABLE.strip().splitlines():
        name, java, unit, *unit_java = line.split("|")
        yield Column(name, java, unit, unit_java[0] if unit_java else "us" if unit == "s" else unit)


COLUMNS = {column.name: column for column in _columns()}
FROM_JAVA = {column.java: column.name for column in COLUMNS.values()}
MICROSECONDS = frozenset(c.name for c in COLUMNS.values() if c.unit_java == "us")
TEXT = ("src_ip", "dst_ip")
# Columns that say nothing about a flow. They are not compared and not reported as an error.
UNCOMPARED = {"Flow ID": "made of other columns", "Label": "always NeedManualLabel",
              "src_mac": "only some versions of the Python program", "dst_mac": "only some versions of the Python program"}


def recognise(header):
    """Returns {position: name of the 82} and whether the names are the Java program's; None if the header is of neither."""
    names = [name.strip() for name in header]
    for of, is_java in (({n: n for n in COLUMNS}, False), (FROM_JAVA, True)):
        found = {i: of[name] for i, name in enumerate(names) if name in of}
        if len(found) >= max(1, sum(name not in UNCOMPARED for name in names) / 2):
            return found, is_java
    return None


def _per(a, b):
    return a / b if b else 0


# Columns that follow from other columns of the row, in every program, except where a quirk changes them.
QUOTIENTS = {
    "flow_byts_s": lambda v: _per(v["totlen_fwd_pkts"] + v["totlen_bwd_pkts"], v["flow_duration"]),
    "flow_pkts_s": lambda v: _per(v["tot_fwd_pkts"] + v["tot_bwd_pkts"], v["flow_duration"]),
    "fwd_pkts_s": lambda v: _per(v["tot_fwd_pkts"], v["flow_duration"]),
    "bwd_pkts_s": lambda v: _per(v["tot_bwd_pkts"], v["flow_duration"]),
    "fwd_pkt_len_mean": lambda v: _per(v["totlen_fwd_pkts"], v["tot_fwd_pkts"]),
    "bwd_pkt_len_mean": lambda v: _per(v["totlen_bwd_pkts"], v["tot_bwd_pkts"]),
    "pkt_len_std": lambda v: math.sqrt(v["pkt_len_var"]),
    "down_up_ratio": lambda v: _per(v["tot_bwd_pkts"], v["tot_fwd_pkts"]),
}

_EPOCH = datetime.datetime(1970, 1, 1)


def stamp_ns(text):
    """Nanoseconds since 1970 of a time stamp in the form of any of the programs; otherwise ValueError."""
    if text[2:3] == "/":
        whole, fraction = datetime.datetime.strptime(text, "%d/%m/%Y %I:%M:%S %p"), ""
    elif text[4:5] == "-":
        seconds, _, fraction = text.partition(".")
        whole = datetime.datetime.strptime(seconds, "%Y-%m-%d %H:%M:%S")
    else:  # beyond the year 9999
        seconds, _, fraction = text.partition(".")
        return int(seconds) * NS + int((fraction or "0").ljust(9, "0")[:9])
    since = whole - _EPOCH
    return (since.days * 86400 + since.seconds) * NS + int((fraction or "0").ljust(9, "0")[:9])


def cell(name, text):
    """A cell's value; ValueError if the text is not valid."""
    if name in TEXT:
        return text
    if name == "timestamp":
        return stamp_ns(text)
    try:
        return int(text)
    except ValueError:
        return float(text)


def canonical(name, value, program):
    """The value in seconds and bytes, whichever program wrote it."""
    return value / 1e6 if program == JAVA and name in MICROSECONDS else value


def equal(name, a, b, per_second=1):
    """Equal except for rounding: 1e-9 relative, or 1e-9 in the canonical unit (per_second: units of a and b per second)."""
    if a is None or b is None:
        return False
    if a == b:
        return True
    if name in TEXT or isinstance(a, str) or isinstance(b, str) or name in KEY:
        return False
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    if math.isinf(a) or math.isinf(b):
        return False
    slack = 1e-9 * (per_second if name in MICROSECONDS else 1)
    return abs(a - b) <= max(slack, 1e-9 * max(abs(a), abs(b)))
