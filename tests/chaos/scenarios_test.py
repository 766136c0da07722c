# SPDX-License-Identifier: BSD-3-Clause
"""Random interruptions of a meter under traffic whose every packet is known: at the end each packet is in one row, or the
meter has said that it is not. CHAOS_SEED=N repeats the moments of a run, and its traffic."""
import os
import secrets

import cases
import check
import events
import namespaces
from daemon import Daemon
from ledger import Traffic
from outputs import Fifo, Files, Http, Realtime
from world import Clock, LittleMemory, World

LABEL = "chaos"


class Chaos(cases.Case):
    def setUp(self):
        super().setUp()
        missing = namespaces.missing_here()
        if missing:
            self.skipTest(missing)
        seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(1 << 32))
        print(f"CHAOS_SEED={seed}", flush=True)
        self.world = World(self, seed, wires=2)

    def chaos(self, *happens, output=None, arguments=(), pinned=False, environment=(), beside=(), clock_steps=False):
        """The events happen in random order, at random moments. beside: meters that run all the time, undisturbed. Returns the
        rows."""
        self.output = output or Files(self.world)
        self.daemon = Daemon(self.world, self.output, *arguments, pinned=pinned, environment=environment)
        daemons = [self.daemon, *beside]
        try:
            self.run_all(daemons, happens)
            for daemon in daemons:
                done, rows = daemon.end(), daemon.output.rows()
                check.conservation(self, self.world.ledger, rows, done, clock_steps)
                check.outputs(self, done, all_written=not daemon.failure)
                print(f"{self.world.ledger.packets.total()} packets, {len(rows)} rows, {done.account['lost']} lost")
            check.link_counters(self, self.world)
            check.nothing_left(self, self.world, *daemons)
            return self.output.rows()
        except Exception:
            for run in (run for daemon in daemons for run in daemon.runs):
                print(f"---- {run.name}\n{run.err()[-4000:]}")
            raise

    def disk(self, name, *arguments):
        """A file on a small disk of its own."""
        disk = self.world.mount("tmpfs", "disk", "-o", "size=48m")
        return Files(self.world, name, *arguments, directory=disk)

    def run_all(self, daemons, happens):
        for daemon in daemons:
            daemon.start()
        traffic = Traffic(self.world)
        traffic.start()
        try:
            for event in self.world.random.sample(happens, len(happens)):
                self.world.pause()
                print("----", event.__name__, flush=True)
                event(self)
            self.world.pause()
        finally:
            traffic.end()
        self.world.wait_arrived()


class Pick(Chaos):
    """Some of everything, for the fast tier."""

    LABEL = "veth"

    def test_process(self):
        self.chaos(events.paused, events.few_files, events.killed, events.stopped, events.refused, pinned=True)

    def test_links(self):
        self.chaos(events.offloads, events.mtu, events.renamed, events.removed, arguments=("--datapath", "kernel"))

    def test_server(self):
        self.chaos(events.server_hangs, events.server_stops, events.paused, output=Http(self.world))


class Restarts(Chaos):
    """With --pin. Whatever happens, the rows of all processes together are those of one that was never interrupted."""

    def chaos(self, *happens, **options):
        return super().chaos(*happens, pinned=True, **options)

    def test_stopped(self):
        self.chaos(*[events.stopped] * 6)

    def test_stopped_datapath_kernel(self):
        self.chaos(*[events.stopped] * 6, arguments=("--datapath", "kernel"))

    def test_killed(self):
        self.chaos(*[events.killed] * 6)

    def test_killed_datapath_kernel(self):
        self.chaos(*[events.killed] * 6, arguments=("--datapath", "kernel"))

    def test_killed_xdp(self):
        for wire in self.world.wires:
            wire.segmented = None  # XDP does not see of how many packets a buffer is
        self.chaos(*[events.killed, events.stopped] * 3, arguments=("--hook", "xdp-generic"))

    def test_killed_per_interface(self):
        self.chaos(*[events.killed, events.stopped, events.renamed] * 2, arguments=("--per-interface",))

    def test_killed_lru(self):
        self.chaos(*[events.killed, events.stopped] * 2, arguments=("--flow-map", "lru"))

    def test_full_disk(self):
        self.chaos(*[events.disk_full, events.killed, events.stopped] * 2, output=self.disk("flows.csv"))

    def test_killed_json(self):
        self.chaos(*[events.killed, events.stopped] * 3, output=Files(self.world, "flows.json"))

    def test_killed_rotated(self):
        self.chaos(*[events.killed, events.stopped] * 3, output=Files(self.world, "flows.csv", "--rotate", "1s"))

    def test_killed_compressed(self):
        self.chaos(*[events.killed, events.stopped] * 3, output=Files(self.world, "flows.csv.gz"))

    def test_killed_rotated_compressed(self):
        self.chaos(*[events.killed, events.stopped] * 3, output=Files(self.world, "flows.json.zst", "--rotate", "200KB"))

    def test_taken_away(self):
        self.chaos(*[events.taken_away, events.stopped] * 3, output=Files(self.world, "flows.csv", "--rotate", "1s"))

    def test_taken_away_compressed(self):
        self.chaos(*[events.taken_away, events.killed] * 3, output=Files(self.world, "flows.json.zst", "--rotate", "100KB"))

    def test_full_disk_rotated(self):
        self.chaos(*[events.disk_full, events.killed, events.stopped] * 2, output=self.disk("flows.csv.gz", "--rotate", "1s"))

    def test_handed_over(self):
        self.chaos(*[events.handed_over, events.killed] * 3, arguments=("--unpin",))

    def test_stopped_server(self):
        self.chaos(*[events.stopped, events.server_hangs, events.server_stops] * 2, output=Http(self.world))

    def test_killed_server(self):
        self.chaos(*[events.killed, events.server_hangs, events.server_stops] * 2, output=Http(self.world))

    def test_refused(self):
        self.chaos(*[events.refused, events.stopped] * 3)

    def test_little_memory(self):
        self.memory = LittleMemory(self, 1 << 16)
        self.chaos(*[events.little_memory] * 4)

    def test_clock_steps(self):
        self.clock = Clock(self)
        self.chaos(*[events.clock_steps, events.killed, events.stopped] * 2, environment=self.clock.environment, clock_steps=True)

    def test_two_meters(self):
        """The other one has no pins, and runs all the time."""
        other = Daemon(self.world, Files(self.world, "others.csv"), name="other")
        self.chaos(*[events.killed, events.stopped, events.paused] * 2, beside=[other])

    def test_links(self):
        self.chaos(*[events.killed, events.removed, events.namespace_removed, events.offloads, events.renamed, events.stopped,
                     events.crowd] * 2)

    def test_payload(self):
        rows = self.chaos(*[events.killed, events.stopped] * 3, arguments=("--features", "realtime97"), output=Realtime(self.world))
        self.assertGreater(sum(row["method"] == "GET" for row in rows), 100)

    def test_everything(self):
        self.chaos(*[events.killed, events.stopped, events.paused, events.few_files, events.refused, events.disk_full,
                     events.removed, events.namespace_removed, events.offloads, events.mtu, events.renamed, events.crowd] * 2,
                   output=self.disk("flows.csv"))


class Process(Chaos):
    def test_paused(self):
        self.chaos(*[events.paused] * 6)

    def test_few_files(self):
        self.chaos(*[events.few_files] * 4)

    def test_clock_steps(self):
        self.clock = Clock(self)
        self.chaos(*[events.clock_steps, events.paused] * 3, environment=self.clock.environment, clock_steps=True)

    def test_two_meters(self):
        other = Daemon(self.world, Files(self.world, "others.json.gz", "--rotate", "1s"), name="other")
        self.chaos(*[events.paused] * 4, beside=[other])


class Links(Chaos):
    def test_devices(self):
        self.chaos(*[events.offloads, events.mtu, events.renamed] * 4)

    def test_removed(self):
        self.chaos(*[events.removed] * 4)

    def test_removed_datapath_kernel(self):
        self.chaos(*[events.removed] * 4, arguments=("--datapath", "kernel"))

    def test_namespace_removed(self):
        self.chaos(*[events.namespace_removed] * 4)

    def test_namespace_removed_datapath_kernel(self):
        self.chaos(*[events.namespace_removed, events.crowd] * 2, arguments=("--datapath", "kernel"))

    def test_crowd(self):
        self.chaos(*[events.crowd] * 4)

    def test_everything(self):
        self.chaos(*[events.crowd, events.removed, events.namespace_removed, events.offloads, events.mtu, events.renamed,
                     events.paused] * 2)


class Outputs(Chaos):
    def test_rotated(self):
        self.chaos(*[events.paused] * 3, output=Files(self.world, "flows.csv", "--rotate", "1s"))

    def test_rotated_compressed(self):
        self.chaos(*[events.paused] * 3, output=Files(self.world, "flows.json.zst", "--rotate", "200KB"))

    def test_server(self):
        self.chaos(*[events.server_hangs, events.server_stops] * 3, output=Http(self.world))

    def test_full_disk(self):
        self.chaos(*[events.disk_full] * 4, output=self.disk("flows.csv"))

    def test_full_disk_json(self):
        self.chaos(*[events.disk_full, events.paused] * 2, output=self.disk("flows.json"))

    def test_full_disk_rotated(self):
        self.chaos(*[events.disk_full] * 3, output=self.disk("flows.csv", "--rotate", "500KB"))

    def test_one_output(self):
        """Of two meters that name the same file, the second one is refused."""
        self.chaos(*[events.refused] * 3)

    def test_reader(self):
        self.chaos(*[events.reader_dies, events.paused] * 2, output=Fifo(self.world))
        more, *_ = check.differences(self.world.ledger, self.output.piped())
        self.assertEqual(more, [], "the pipe had a packet twice")
