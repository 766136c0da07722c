# SPDX-License-Identifier: BSD-3-Clause
"""Prints the addresses that sent the most bytes, from a capture or an interface: an example of the Python package.

    python3 talkers.py example.pcap
    sudo python3 talkers.py eth0        (one minute)
"""
import collections
import pathlib
import sys

import flowmeter


def open_flows(source: str) -> flowmeter.Flows:
    if pathlib.Path(source).is_file():
        return flowmeter.read(pathlib.Path(source), features="cic82", extra=["end_reason"], idle_timeout=60)
    return flowmeter.meter(source, duration=60, datapath="kernel", extra=["end_reason"], idle_timeout=60)


def main() -> None:
    sent: collections.Counter[str] = collections.Counter()
    ends: collections.Counter[str] = collections.Counter()
    with open_flows(sys.argv[1]) as flows:
        for flow in flows:
            sent[flow["src_ip"]] += flow["totlen_fwd_pkts"]
            sent[flow["dst_ip"]] += flow["totlen_bwd_pkts"]
            ends[flow["end_reason"]] += 1
    for address, size in sent.most_common(10):
        print(f"{address:40} {size} B")
    print(f"{flows.account['flows']} flows:", ", ".join(f"{reason} {count}" for reason, count in sorted(ends.items())))


if __name__ == "__main__":
    main()
