# SPDX-License-Identifier: BSD-3-Clause
"""Shared by the live tests of several interfaces: wires between namespaces, and the account of each hook."""
import re
import time

import live_cases
import meter
import namespaces

# After this silence another interface may take over a flow's direction (FM_POINT_SILENCE in abi.h). It is somewhat
# longer, because Python's clock is not the kernel's.
POINT_SILENCE_S = 0.15


def address(wire, side):
    """An address in the network for benchmarks (RFC 2544), which nobody uses."""
    return f"198.18.{wire}.{side}"


def end_of_wire(namespace, interface, wire, side):
    """Without segmentation offload, an skb is a frame on the wire. The neighbour is known, so there is no ARP."""
    peer_mac = f"02:00:00:00:{wire:02x}:{3 - side:02x}"
    namespace.run("sh", "-ec", f"""
        ethtool -K {interface} tso off gso off gro off
        ip link set dev {interface} gso_max_segs 1
        ip link set dev {interface} addrgenmode none
        ip link set dev {interface} up
        ip addr add {address(wire, side)}/24 dev {interface}
        ip neigh replace {address(wire, 3 - side)} lladdr {peer_mac} dev {interface} nud permanent
    """)


def wire(number, left, left_interface, right, right_interface):
    """A veth pair between two namespaces: left is .1 and right .2 of its network."""
    namespaces.run("ip", "link", "add", left_interface, "netns", left.name, "address", f"02:00:00:00:{number:02x}:01",
                   "type", "veth", "peer", "name", right_interface, "netns", right.name,
                   "address", f"02:00:00:00:{number:02x}:02")
    end_of_wire(left, left_interface, number, 1)
    end_of_wire(right, right_interface, number, 2)


def wait_quiet(*ends, seconds=0.3, limit=60):
    """Waits until nothing has crossed these wires for a while. ends: (namespace, interface), …"""
    end = time.monotonic() + limit
    before, since = None, 0
    while time.monotonic() < end:
        now = [namespace.link_counters(interface) for namespace, interface in ends]
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            return
        time.sleep(0.05)
    raise AssertionError(f"the wires were not quiet for {seconds} s within {limit} s")


def hooks(done):
    """{(interface, "ingress" or "egress"): {"seen": …}} from the lines that -v adds to the account at the end."""
    found = {}
    for line in done.err.splitlines():
        match = re.match(r"flowmeter-ebpf: info: (\S+) (ingress|egress): (seen=.*)", line)
        if match:
            found[match[1], match[2]] = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", match[3])}
    return found


class Interfaces(live_cases.Live):
    def start_on(self, namespace, patterns, *arguments, **options):
        """Starts metering in the namespace, with one -i per pattern."""
        first, *others = patterns
        more = [argument for each in others for argument in ("-i", each)]
        return self.start(namespace, *more, "--max-flows", "4096", "--extra", "interface,direction", *arguments,
                          interface=first, **options)

    def stop_clean(self, live, only=()):
        """Its account is the sum of its hooks. For the interfaces in `only`, the kernel's counters agree, too."""
        done = live.stop_clean()
        found = hooks(done)
        for name in ("seen", *meter.REASONS):
            self.assertEqual(sum(each[name] for each in found.values()), done.account[name], done.err)
        for interface in only:
            for direction in ("ingress", "egress"):
                hook = found[interface, direction]
                self.assertEqual(hook["buffers"], hook["link_packets"], f"{interface} {direction}: {done.err}")
        return done

    def send(self, namespace, source, target, count, port, pause=0.0):
        """Sends datagrams from this port to port 9, where nobody listens. The ICMP answers have their own flow."""
        client = self.udp(namespace, source, port, (target, 9))
        for _ in range(count):
            client.send(b"x" * 40)
            if pause:
                time.sleep(pause)
        return client

    def sent(self, live, port):
        """Packets of the rows of this UDP port: (forward, backward)."""
        rows = [row for row in self.of_ports(live.rows(), port) if row["protocol"] == "17"]
        return sum(int(row["tot_fwd_pkts"]) for row in rows), sum(int(row["tot_bwd_pkts"]) for row in rows)

    def wait_metering(self, live, interface, seconds=60):
        meter.wait_for(f"{interface} is metered", lambda: f": metering {interface}\n" in live.err(), seconds)
