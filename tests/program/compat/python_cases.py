# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the tests of --compat python: packets and files of packets, and their rows."""
import capture
import cases
import meter
import packets
from capture import ACK, CLIENT, SERVER, ethernet
from flowmeter.models import python_cicflowmeter

URG, CWR = 32, 128
COLUMNS = python_cicflowmeter.HEADER


def ends(back, ports):
    return (SERVER, CLIENT, ports[::-1]) if back else (CLIENT, SERVER, ports)


def tcp(flags=ACK, payload=0, back=False, window=1024, ports=(4000, 80)):
    return capture.tcp(flags, bytes(payload), *ends(back, ports), window)


def udp(payload=10, back=False, ports=(4000, 53)):
    return capture.udp(bytes(payload), *ends(back, ports))


def icmp(kind, identifier=7, back=False, payload=0):
    source, target, _ = ends(back, (0, 0))
    return capture.ipv4(1, packets.icmp(kind, bytes(payload), identifier=identifier, sequence=1), source, target)


def changed(packet, **fields):
    """The IP packet with other header bytes, by offset: changed(p, at0=0x46)."""
    packet = bytearray(packet)
    for name, value in fields.items():
        packet[int(name[2:])] = value
    return bytes(packet)


def pcap(frames, link_type=1, order="<", **header):
    """frames: (seconds, sub-second field, bytes), …"""
    return packets.pcap([((seconds, sub), frame) for seconds, sub, frame in frames], order, link_type=link_type,
                        **{"snap": 65535, **header})


def interface(link_type=1, snap=0, offset=0, resolution=6, order="<"):
    return packets.pcapng_interface(link_type, snap, order, offset=offset, resolution=resolution)


def enhanced(seconds, frame, order="<"):
    return packets.pcapng_packet(frame, int(seconds * 1e6), order=order)


class PythonCase(cases.Case):
    def run_on(self, data, *arguments):
        """The finished run on a capture; the bytes of its output are in .csv."""
        path = self.path("x.pcap")
        with open(path, "wb") as file:
            file.write(data)
        output = self.path("x.csv")
        done = meter.run("-f", path, "--compat", "python", "-c", output, *arguments)
        self.assertEqual(done.code, 0, done.err)
        with open(output, "rb") as file:
            done.csv = file.read()
        return done

    def rows_of(self, data, *arguments):
        text = self.run_on(data, *arguments).csv.decode()
        rows = text.split("\r\n")
        self.assertEqual(rows.pop(), "", "the last line has no CR LF")
        if rows:
            self.assertEqual(rows[0], ",".join(COLUMNS))
        return [dict(zip(COLUMNS, row.split(","), strict=True)) for row in rows[1:]]

    def rows(self, *timed):
        """The rows of IP packets over Ethernet. timed: (seconds, packet), …"""
        return self.rows_of(capture.pcap([(time, ethernet(packet)) for time, packet in timed]))

    def row(self, *timed):
        rows = self.rows(*timed)
        self.assertEqual(len(rows), 1)
        return rows[0]

    def expect(self, row, **cells):
        self.assertEqual({name: row[name] for name in cells}, {name: str(value) for name, value in cells.items()})

    def expect_flows(self, rows, *ends):
        """ends: (source port, destination port, forward, backward packets), … in the order of rows"""
        names = ("src_port", "dst_port", "tot_fwd_pkts", "tot_bwd_pkts")
        self.assertEqual([tuple(row[name] for name in names) for row in rows], [tuple(map(str, e)) for e in ends])

    def taken(self, *frames, link_type=1, order="<"):
        """Whether each frame, in a capture of its own, gives a row."""
        return [len(self.rows_of(pcap([(1, 0, frame)], link_type, order))) == 1 for frame in frames]
