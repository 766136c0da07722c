# SPDX-License-Identifier: BSD-3-Clause
"""What happens to a meter while it runs. Each event takes the running case, and leaves it in a state in which any other event
may happen."""
import os
import resource
import signal
import time

import meter
import namespaces
from http_server import CUT, LATE, SILENT

FAILURES = (SILENT, CUT, LATE, 500, 503)


# ---- the process -----------------------------------------------------------------------------------------------------


def paused(chaos):
    with meter.stopped(chaos.daemon.now):
        chaos.world.pause(0.2, 1.5)


def killed(chaos):
    chaos.daemon.kill()
    chaos.world.pause(0, 1)
    chaos.daemon.start()


def stopped(chaos):
    chaos.daemon.stop()
    chaos.world.pause(0, 1)
    chaos.daemon.start()


def refused(chaos):
    """A second meter with the same command line."""
    second = chaos.daemon.launch()
    chaos.daemon.runs.pop()
    done = second.wait()
    chaos.assertEqual((done.code, len(done.errors)), (1, 1), done.err)
    chaos.assertIn("another", done.errors[0])


def few_files(chaos):
    """The process may open no more files than it has."""
    pid = chaos.daemon.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
    chaos.world.pause(0.5, 2)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def little_memory(chaos):
    """The kernel slows the process down, and mostly kills it. What is left of it is killed."""
    chaos.memory.write("cgroup.procs", chaos.daemon.pid)
    chaos.world.pause(1, 4)
    chaos.daemon.kill()
    chaos.assertEqual(chaos.daemon.now.process.returncode, -signal.SIGKILL, chaos.daemon.now.err())
    chaos.daemon.start()


def clock_steps(chaos):
    """Of the meter's wall clock, back and forth by up to an hour."""
    chaos.clock.step(chaos.world.random.randrange(-3600, 3600))
    chaos.world.pause(0.5, 1.5)


# ---- the interfaces --------------------------------------------------------------------------------------------------


def renamed(chaos):
    wire = chaos.world.random.choice(chaos.world.wires)
    for name in ("wan7", wire.name):
        chaos.world.host.ip("link", "set", "dev", wire.name if name == "wan7" else "wan7", "name", name)
        chaos.world.pause(0.1, 0.7)


def offloads(chaos):
    for wire in chaos.world.wires:
        for namespace, name in wire.devices:
            wanted = [word for what in ("tso", "gso", "gro") for word in (what, chaos.world.random.choice(("on", "off")))]
            namespace.run("ethtool", "-K", name, *wanted)


def mtu(chaos):
    """No frame of the traffic is longer than the smallest of them."""
    wire = chaos.world.random.choice(chaos.world.wires)
    for namespace, name in wire.devices:
        namespace.ip("link", "set", "dev", name, "mtu", str(chaos.world.random.choice((576, 1280, 1500, 9000, 65535))))


def removed(chaos):
    """A wire that carries packets goes, and another one comes."""
    old = chaos.world.random.choice(chaos.world.wires)
    metered_wire(chaos)
    without(chaos, old, lambda: chaos.world.host.ip("link", "del", old.name))


def namespace_removed(chaos):
    """A namespace comes and goes, as a container does, and with it the wire to it."""
    container = chaos.world.namespace("c")
    wire = metered_wire(chaos, container)
    chaos.world.pause()

    def remove():
        namespaces.run("ip", "netns", "del", container.name)
        wire.close_far()

    without(chaos, wire, remove)


def metered_wire(chaos, far=None):
    wire = chaos.world.add_wire(far)
    chaos.daemon.wait_metering(wire.name)
    wire.doubtful = False
    return wire


def without(chaos, wire, remove):
    chaos.world.wires = [each for each in chaos.world.wires if each is not wire]
    wire.settle()
    remove()
    meter.wait_for(f"{wire.name} is released", lambda: f"stopped metering {wire.name}:" in chaos.daemon.now.err())


def crowd(chaos):
    """200 interfaces come and go."""
    world, count = chaos.world, 200
    first = chaos.crowds = getattr(chaos, "crowds", 1000) + count
    world.batch(*(f"link add veth{number} group {first} type veth peer name peer{number} netns {world.far.name}"
                  for number in range(first, first + count)))
    world.pause(0, 2)
    world.host.ip("link", "del", "group", str(first))


# ---- the outputs -----------------------------------------------------------------------------------------------------


def disk_full(chaos):
    """The disk has no room for a while."""
    path = os.path.join(chaos.output.directory, "ballast")
    with open(path, "wb", buffering=0) as file:
        end = time.monotonic() + chaos.world.random.uniform(1, 3)
        while time.monotonic() < end:
            try:
                file.write(bytes(1 << 12))
            except OSError:
                time.sleep(0.01)  # somebody has freed some
    os.unlink(path)


def taken_away(chaos):
    """Complete files go elsewhere, as a shipper of files does it; then the process is killed."""
    end = time.monotonic() + chaos.world.random.uniform(1, 3)
    while time.monotonic() < end:
        chaos.output.take_away()
        time.sleep(0.02)
    chaos.daemon.kill()
    chaos.output.take_away()
    chaos.daemon.start()


def handed_over(chaos):
    """As systemctl restart does it."""
    chaos.daemon.stop(signal.SIGUSR2)
    chaos.world.pause(0, 1)
    chaos.daemon.start()


def reader_dies(chaos):
    """The pipe fails for good, also if another reader comes; the other outputs have all rows."""
    chaos.output.leave()
    chaos.daemon.failure = chaos.output.path
    chaos.world.pause(0.2, 1.5)
    chaos.output.come()


def server_hangs(chaos):
    """It is silent, refuses, or closes connections."""
    plan = chaos.output.service.plan
    chaos.output.service.plan = lambda number: chaos.world.random.choice(FAILURES)
    chaos.world.pause(0.5, 3)
    chaos.output.service.plan = plan


def server_stops(chaos):
    chaos.output.service.stop()
    chaos.world.pause(0.5, 2)
    chaos.output.service.start()
