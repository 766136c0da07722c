# SPDX-License-Identifier: BSD-3-Clause
"""Where the rows of a scenario go, and all places in which they are found at its end."""
import collections
import contextlib
import datetime
import gzip
import json
import os
import subprocess
import threading
import zlib

import meter
from http_server import Service

CLOCK_SLACK_S = 0.25  # two meters measure the offset of their clocks one after the other, on a loaded machine


def content(path):
    """The text of a file. Of a compressed file that a killed run has left, as much as can be read."""
    name = path.removesuffix(".part")
    if name.endswith(".zst"):
        done = subprocess.run(["zstd", "-dcq", path], capture_output=True, timeout=60)
        if done.returncode != 0 and not path.endswith(".part"):
            raise AssertionError(f"{path}: {done.stderr.decode()}")
        return done.stdout.decode()
    with open(path, "rb") as file:
        data = file.read()
    if not name.endswith(".gz"):
        return data.decode()
    if not path.endswith(".part"):
        return gzip.decompress(data).decode()
    return zlib.decompressobj(wbits=31).decompress(data).decode()


def parsed(text, path, cut=False):
    """Its rows. cut: it may end within a row."""
    if text and not text.endswith("\n"):
        if not cut:
            raise AssertionError(f"{path} ends within a row: {text[-200:]!r}")
        text = text[:text.rfind("\n") + 1]
    if ".json" in os.path.basename(path) or path.endswith(".ndjson"):
        return [{name: str(value) for name, value in json.loads(line).items()} for line in text.splitlines()]
    rows = meter.rows_of(text)
    for row in rows:
        if None in row or None in row.values() or any(name == value for name, value in row.items()):
            raise AssertionError(f"{path} has a damaged row: {row}")
    return rows


class Files:
    """Plain, compressed or rotated files: everything whose name starts with that of the option."""

    def __init__(self, world, name="flows.csv", *more, directory=None):
        self.directory, self.stem = directory or world.out, name.split(".")[0]
        self.path = os.path.join(self.directory, name)
        self.arguments = ["--json" if ".json" in name else "-c", self.path, *more]
        self.elsewhere = world.out + "-elsewhere"
        os.makedirs(self.elsewhere, exist_ok=True)

    def names(self):
        return sorted(name for name in os.listdir(self.directory) if name.startswith(self.stem))

    def take_away(self):
        """Moves complete files elsewhere."""
        for name in self.names():
            if not name.endswith(".part"):
                os.rename(os.path.join(self.directory, name), os.path.join(self.elsewhere, name))

    def rows(self):
        paths = [os.path.join(self.directory, name) for name in self.names()]
        paths += [os.path.join(self.elsewhere, name) for name in os.listdir(self.elsewhere) if name.startswith(self.stem)]
        return [row for path in paths for row in self.rows_of(path)]

    def rows_of(self, path):
        return parsed(content(path), path, cut=path.endswith(".part"))


class Realtime(Files):
    """Rows of realtime97, under the names and in the units of cic82 as far as the check needs them."""

    NAMES = {"Src IP": "src_ip", "Dst IP": "dst_ip", "Src Port": "src_port", "Dst Port": "dst_port",
             "Total Fwd Packets": "tot_fwd_pkts", "Total Backward Packets": "tot_bwd_pkts",
             "Total Length of Fwd Packets": "totlen_fwd_pkts", "Total Length of Bwd Packets": "totlen_bwd_pkts",
             "HTTP Most Common Method": "method"}

    def rows_of(self, path):
        return [{**{ours: row[theirs] for theirs, ours in self.NAMES.items()},
                 "protocol": {"TCP": 6, "UDP": 17}[row["Protocol"]],
                 "flow_duration": float(row["Flow Duration"]) / 1e6,
                 "timestamp": datetime.datetime.fromtimestamp(float(row["Timestamp"])).isoformat()}
                for row in super().rows_of(path)]


class Http:
    """A server and a spool. A request whose answer was lost is repeated, so equal rows count once: also those that another
    process has made again, which has measured the offset of its clock anew."""

    def __init__(self, world, *more):
        with world.host.inside():  # for its listening socket; its threads need not be inside
            self.service = Service(world.case)
        self.spool = world.private()
        self.arguments = ["-u", self.service.url(), "--url-batch", "100", "--url-timeout", "1", "--spool", self.spool, *more]

    def spooled(self):
        for folder, _, names in os.walk(self.spool):
            for name in sorted(names):
                if name.endswith(".ndjson"):
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        file.seek(int(name.removesuffix(".ndjson").split("-")[1]))
                        yield from parsed(file.read().decode(), path)

    def rows(self):
        with self.service.lock:
            taken = [{name: str(value) for name, value in row.items()} for row in self.service.acknowledged]
        rows, times = [], collections.defaultdict(list)
        for row in [*taken, *self.spooled()]:
            start = datetime.datetime.fromisoformat(row["timestamp"]).timestamp()
            same = times[json.dumps({**row, "timestamp": ""})]
            if all(abs(start - each) > CLOCK_SLACK_S for each in same):
                rows.append(row)
            same.append(start)
        return rows


class Fifo(Files):
    """A file with all rows, and a named pipe with a reader that can be gone for a while."""

    def __init__(self, world):
        super().__init__(world)
        self.path, self.text, self.reader = os.path.join(world.case.path("fifo")), b"", None
        os.mkfifo(self.path)
        self.arguments += ["--json", self.path]
        self.leaving = threading.Event()
        world.case.addCleanup(self.leave)
        self.come()

    def come(self):
        self.leaving.clear()
        fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.reader = threading.Thread(target=self.read, args=(fd,))
        self.reader.start()

    def read(self, fd):
        while not self.leaving.wait(0.01):
            with contextlib.suppress(BlockingIOError):
                self.text += os.read(fd, 1 << 16)
        os.close(fd)

    def leave(self):
        self.leaving.set()
        self.reader.join()

    def piped(self):
        """The rows that were read from the pipe."""
        return parsed(self.text.decode(), self.path + ".json", cut=True)
