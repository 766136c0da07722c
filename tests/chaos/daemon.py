# SPDX-License-Identifier: BSD-3-Clause
"""The meters of a scenario: several processes, one after another, with the same command line."""
import os
import signal

import cases
import meter

SMALL = {"--max-flows": "32768", "--event-memory": "8", "--idle-timeout": "1", "--tcp-linger": "0.5"}


class Daemon:
    """pinned: metering outlives each process, and the next one continues. Otherwise there is one process."""

    def __init__(self, world, output, *arguments, interfaces="veth*", pinned=False, name="meter", environment=()):
        self.world, self.output, self.name, self.pinned = world, output, name, pinned
        self.environment = {**os.environ, "no_proxy": "*", **dict(environment)}
        sizes = [word for pair in SMALL.items() if pair[0] not in arguments for word in pair]
        self.command = [*world.host.enter, cases.meter_path, "-i", interfaces, *sizes, *output.arguments, *arguments, "-v",
                        *(("--pin", world.pins, "--state-dir", world.state) if pinned else ())]
        self.runs, self.objects = [], set()
        self.failure = ""  # in the one error that the scenario provokes

    @property
    def now(self):
        return self.runs[-1]

    @property
    def pid(self):
        return self.now.process.pid

    def launch(self, *more):
        log = self.world.case.path(f"{self.name}-{len(self.runs)}.log")
        self.runs.append(meter.Process(self.world.case, log, [*self.command, *more], env=self.environment))
        return self.now

    def start(self, *more):
        self.launch(*more).wait_attached()
        self.objects |= self.now.bpf_objects()

    def wait_metering(self, interface):
        meter.wait_for(f"{interface} is metered", lambda: f": metering {interface}\n" in self.now.err())

    def kill(self):
        self.now.process.kill()
        self.now.process.wait()

    def stop(self, number=signal.SIGTERM):
        """A stop that must succeed, if nothing else is expected, with a balanced account."""
        self.objects |= self.now.bpf_objects()
        done = self.now.stop(number)
        expected = (1, 1) if self.failure else (0, 0)
        self.world.case.assertEqual((done.code, len(done.errors)), expected, done.err[-3000:])
        self.world.case.assertIn(self.failure, "".join(done.errors))
        meter.assert_balanced(self.world.case, done.account)
        return done

    def end(self):
        """The last run ends all flows, and removes the pins."""
        if self.pinned and "--unpin" not in self.command:
            self.stop()
            self.start("--unpin")
        return self.stop()
