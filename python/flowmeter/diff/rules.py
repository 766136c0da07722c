# SPDX-License-Identifier: BSD-3-Clause
"""The rules that can explain why a cell of one program differs from the correct one.

A *quirk* changes the cells of a flow whose packets are given. `features.py` computes the cells from the packets of a capture
with any set of quirks switched on; `row_quirks.py` computes some of them from the correct row alone.
A *boundary* decides which packets belong to a flow; `flows.py` names it wherever a flow starts or ends.
"""
import fnmatch
from typing import NamedTuple

from .columns import COLUMNS, JAVA, MICROSECONDS, PYTHON


class Quirk(NamedTuple):
    name: str
    program: tuple  # the programs that have it
    says: str
    columns: tuple  # patterns of the columns that it can change

    def touches(self, column):
        return any(fnmatch.fnmatchcase(column, pattern) for pattern in self.columns)


_TIMES = ("flow_duration", "*_iat_*", "*_s", "active_*", "idle_*", "*_b_avg", "*_blk_rate_avg", "subflow_*")
_LENGTHS = ("totlen_*", "*pkt_len_*", "pkt_size_avg", "flow_byts_s", "*_seg_size_avg", "subflow_*_byts")
_MOMENTS = ("*pkt_len_mean", "*pkt_len_std", "pkt_len_var", "pkt_size_avg")
_FLAGS = ("*_flag_cnt", "cwr_flag_count", "*_psh_flags", "*_urg_flags")
_BULK = ("*_b_avg", "*_blk_rate_avg")

# In the order in which they are switched on.
QUIRKS = [
    Quirk("active-idle-zero", (PYTHON,), "active and idle are always 0", ("active_*", "idle_*")),
    Quirk("subflow-totals", (PYTHON,), "subflow columns are the flow's totals", ("subflow_*",)),
    Quirk("java-walk", (JAVA,), "flags and windows come from the first TCP header in the frame, at any layer",
          _FLAGS + ("init_*",)),
    Quirk("whole-seconds", (PYTHON, JAVA), "the time stamp is truncated to seconds", ("timestamp",)),
    Quirk("microseconds", (PYTHON, JAVA), "times are truncated to microseconds", _TIMES),
    Quirk("raw-gaps-python", (PYTHON,), "if the clock steps back, gaps are negative; a gap of the flow is measured from its "
          "latest time",
          ("*_iat_*", *_BULK)),
    Quirk("raw-gaps-java", (JAVA,), "if the clock steps back, gaps are negative, and the duration ends at the last packet",
          _TIMES),
    Quirk("segment-is-frame", (PYTHON,), "the average segment size is the average packet length", ("*_seg_size_avg",)),
    Quirk("least-header", (PYTHON, JAVA), "the minimum segment size is the minimum header length", ("fwd_seg_size_min",)),
    Quirk("captured-length", (PYTHON,), "the length is the captured length, not the length on the wire", _LENGTHS),
    Quirk("padding-is-payload", (PYTHON,), "bytes after the IP packet (Ethernet padding) count as payload",
          ("fwd_act_data_pkts", *_BULK)),
    Quirk("payload-length", (JAVA,), "a packet's length is that of its payload, not of its frame",
          ("totlen_*", "*pkt_len_*", "pkt_size_avg", "flow_byts_s", "subflow_*_byts")),
    Quirk("captured-payload", (JAVA,), "payload is only the captured part, with padding after a VLAN tag or in raw IP; "
          "packets without TCP or UDP have none",
          _LENGTHS + _BULK + ("fwd_act_data_pkts", "fwd_seg_size_*")),
    Quirk("ip-header", (PYTHON,), "the header length is that of the IP header only", ("*_header_len", "fwd_seg_size_min")),
    Quirk("transport-header", (JAVA,), "the header length is that of the TCP or UDP header only",
          ("*_header_len", "fwd_seg_size_min")),
    Quirk("first-packet-twice", (PYTHON,), "the first packet counts twice",
          ("tot_*", "totlen_*", *_MOMENTS, "*_seg_size_avg", *_FLAGS, "*_header_len", "fwd_act_data_pkts", "*_iat_m*", "*_iat_std",
           "down_up_ratio", "*_s", "subflow_*")),
    Quirk("first-payload-twice", (JAVA,), "the first packet's payload counts twice in the packet lengths",
          ("pkt_len_mean", "pkt_len_std", "pkt_len_var", "pkt_size_avg")),
    Quirk("sample-deviation", (JAVA,), "standard deviation and variance are those of a sample (n - 1), not of the population",
          ("*_std", "pkt_len_var")),
    Quirk("short-lists-zero", (PYTHON,), "with fewer than two gaps all statistics are 0", ("*_iat_*",)),
    Quirk("last-active-left-out", (JAVA,), "the active period in which the flow ends is omitted", ("active_*",)),
    Quirk("bulk-by-time", (PYTHON,), "a bulk ends at a later time stamp of the other direction, not at its packet", _BULK),
    Quirk("bulk-all-backward", (JAVA,), "packets of both directions count in backward bulks, none in forward bulks", _BULK),
    Quirk("subflow-per-gap", (JAVA,), "subflow columns are divided by the number of gaps above 1 s, one fewer than the subflows",
          ("subflow_*",)),
    Quirk("integer-quotients", (JAVA,), "quotients are truncated to integers", ("down_up_ratio", "subflow_*", *_BULK)),
    Quirk("rates-without-duration", (JAVA,), "rates of a flow without duration are NaN or infinite, not 0", ("flow_byts_s", "flow_pkts_s")),
    Quirk("first-flags-only", (JAVA,), "forward PSH and URG counts are those of the first packet; backward counts are always 0",
          ("*_psh_flags", "*_urg_flags")),
    Quirk("cwr-is-urg", (PYTHON,), "the CWR column has the count of forward URG flags", ("cwr_flag_count",)),
    Quirk("window-not-zero", (PYTHON,), "the initial window is the first that is not 0", ("init_*",)),
    Quirk("last-backward-window", (JAVA,), "the backward window is that of the last packet", ("init_bwd_win_byts",)),
    Quirk("data-without-first", (JAVA,), "the first packet does not count as a data packet", ("fwd_act_data_pkts",)),
    Quirk("protocol-0", (JAVA,), "other protocols than TCP and UDP have protocol 0, ports 0, and no -1",
          ("src_port", "dst_port", "protocol", *_FLAGS, "init_*")),
    Quirk("microseconds-unit", (JAVA,), "microseconds instead of seconds", tuple(sorted(MICROSECONDS))),
]
QUIRK = {quirk.name: quirk for quirk in QUIRKS}

# name -> (whose rule, what it says)
BOUNDARIES = {
    "idle": ("correct", "a silence above 240 s (ICMP 60 s) ends a flow"),
    "linger": ("correct", "a silence above 5 s ends a closed TCP flow"),
    "reopened": ("correct", "a SYN on a closed TCP flow starts the next one"),
    "active": ("correct", "1800 s after its start a flow is continued by the next one"),
    "not_ip": ("correct", "the frame is not IP to this meter"),
    "other_protocol": ("correct", "neither TCP nor UDP nor ICMP"),
    "malformed": ("correct", "headers or lengths are inconsistent"),
    "unattributed_fragment": ("correct", "a later fragment whose first fragment is not known"),
    "python-timeout": (PYTHON, "a silence above 240 s (ICMP 60 s) starts a flow that keeps the direction of the old one"),
    "python-collection": (PYTHON, "a collection wrote the flow's row. It runs every 1000 packets and at each packet of a flow "
                                  "longer than 120 s, and takes flows that were silent for 240 s (ICMP 60 s) or are longer "
                                  "than 90 s (ICMP 30 s)"),
    "other-collection": (PYTHON, "a collection wrote the flow's row at another time than nqmn's program would (hieulw's time "
                                 "varies)"),
    "python-without-icmp": (PYTHON, "the file has no ICMP flow at all: hieulw's program reads only TCP and UDP"),
    "python-key": (PYTHON, "its flow key has no protocol; for ICMP it has type and identifier, and only a reply finds a flow of "
                           "the opposite direction"),
    "python-no-forward": (PYTHON, "a flow without forward packets has no row"),
    "python-later-fragment": (PYTHON, "later fragments are ignored"),
    "python-ipv4-only": (PYTHON, "only IPv4 directly under the link header is read: no IPv6, no tags, no labels"),
    "python-link-type": (PYTHON, "frames of this link type are not read"),
    "python-undissected": (PYTHON, "the transport header is incomplete or of another protocol"),
    "java-fin": (JAVA, "a FIN of the responder ends the flow at once"),
    "java-rst": (JAVA, "a RST ends the flow at once"),
    "java-120s": (JAVA, "120 s after its start a flow ends, and the next keeps its direction"),
    "java-repeated-fin": (JAVA, "further FINs of the initiator are ignored"),
    "java-one-packet": (JAVA, "a flow of one packet is not written"),
    "java-key": (JAVA, "its flow key: all packets without a TCP or UDP header are one flow per pair of hosts, and the ports may "
                       "be those of inner packets"),
    "java-wire-length": (JAVA, "records whose wire length is below the captured length, or above 2^31, are skipped"),
    "java-not-ipv4": (JAVA, "there is no IPv4 header where it looks: it opens no IPv6, labels, sessions or other link types"),
}

# Rules about whole rows.
ROW_RULES = {
    "own-quotient": "the cell follows from other columns of its own row, which differ",
    "repeated-row": "the row occurs more than once (hieulw's program writes some rows twice)",
    "parts-add-up": "the flow is several rows of the other file, whose sum is equal",
}


def says(name):
    if name in QUIRK:
        return QUIRK[name].says
    return BOUNDARIES[name][1] if name in BOUNDARIES else ROW_RULES[name]


def quirks_of(program):
    return [quirk.name for quirk in QUIRKS if program in quirk.program]


def modes_table():
    """The rules above as Markdown: a table of all columns, and a table of all rules."""
    lines = ["| column | unit | correct → `--compat python` | in the Java program | unit | correct → `--compat java` |",
             "|---|---|---|---|---|---|"]
    for column in COLUMNS.values():
        def differs(program):
            names = [q.name for q in QUIRKS if program in q.program and q.touches(column.name)]
            return ", ".join(names) or "the same"
        lines.append(f"| `{column.name}` | {column.unit} | {differs(PYTHON)} | `{column.java}` | {column.unit_java} | "
                     f"{differs(JAVA)} |")
    lines += ["", "| rule | mode | meaning |", "|---|---|---|"]
    for quirk in QUIRKS:
        lines.append(f"| `{quirk.name}` | {', '.join(quirk.program)} | {quirk.says} |")
    for name, (program, text) in BOUNDARIES.items():
        lines.append(f"| `{name}` | {program or 'all'} | {text} |")
    for name, text in ROW_RULES.items():
        lines.append(f"| `{name}` | all | {text} |")
    return lines
