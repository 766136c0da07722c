# SPDX-License-Identifier: BSD-3-Clause
import asyncio
import contextlib
import multiprocessing
import pathlib
import re
import sys
import tempfile

from .rounds import Part, note, rotated, run, spread, table, timed

ROWS = {1: 20_000, 100: 100_000, 1000: 100_000}  # of a run, by rows per request
# Values of --spool-sync. The spool is not in memory, where synchronising costs nothing.
VARIANTS = {"no spool": None, "spool, sync none": "none", "spool, sync batch": "batch"}


class Service(asyncio.Protocol):
    """Acknowledges each request as soon as its body is there, and does not look at it."""

    def connection_made(self, transport):
        self.transport, self.received = transport, b""

    def data_received(self, data):
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = end + 4 + int(re.search(rb"(?i)content-length: (\d+)", self.received[:end])[1])
            if len(self.received) < length:
                return
            self.received = self.received[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def serve(port):
    async def forever():
        server = await asyncio.get_running_loop().create_server(Service, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextlib.contextmanager
def service():
    """The URL of a service in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}/flows"
    finally:
        process.kill()
        process.join()


def bench(context):
    captures = {}
    for rows in sorted(set(ROWS.values())):
        captures[rows] = context.directory / f"web-{rows}.pcap"
        run(context.tools / "make_bench_capture", captures[rows], rows, 2 * rows)
    samples = {(batch, variant): [] for batch in ROWS for variant in VARIANTS}
    with service() as url, tempfile.TemporaryDirectory(dir=context.build, prefix="spool.") as spool:
        for turn in range(context.rounds):
            for batch, rows in ROWS.items():
                for variant in rotated(VARIANTS, turn):
                    samples[batch, variant].append((rows, *timed(
                        [context.meter, "-q", "-f", captures[rows], "-u", url, "--url-batch", batch,
                         *(["--spool", spool, "--spool-sync", VARIANTS[variant]] if VARIANTS[variant] else [])],
                        context.directory)))
            note(f"web: round {turn + 1} of {context.rounds}")
        if left := list(pathlib.Path(spool).rglob("*.ndjson")):
            sys.exit(f"bench: rows are left in {left[0]}")
    lines = [[batch, variant, spread([rows / wall for rows, wall, _, _ in values], digits=0),
              spread([rows / cpu for rows, _, cpu, _ in values], digits=0)]
             for (batch, variant), values in samples.items()]
    return ["A replay sends rows with all columns to a server of another process that acknowledges at once; the spool is on the "
            "disk of the build directory.\n\n" + table(["rows per request", "run", "rows/s, wall", "rows/s, CPU"], lines)]


PART = Part("web", "rows sent to a web service on this machine, with and without a spool", ("Web service",), bench)
