# SPDX-License-Identifier: BSD-3-Clause
"""What a row of a fleet costs on its way: in a topic of Kafka and in ClickHouse."""
import contextlib
import os
import sys
import tempfile
import time

from .rounds import ROOT, Part, environment, note, output, run, spread, table

sys.path.append(str(ROOT / "tests" / "support"))
import clickhouse  # noqa: E402
import kafka  # noqa: E402

CAPTURES = ROOT.parent / "shared" / "pcaps"
TOPIC = "flows"
# With this many meter ids the rows of the captures are sent.
METERS = 5
MODERN = """
import sys, time
from chdb import session
data, ddl, rows = sys.argv[1:]
db = session.Session(data)
for statement in open(ddl).read().split(";\\n"):
    if statement.strip():
        db.query(statement)
begin = time.monotonic()
# One capture has times outside the years of DateTime64.
db.query(f"INSERT INTO flows FROM INFILE '{rows}' SETTINGS input_format_allow_errors_ratio = 0.1 FORMAT JSONEachRow")
seconds = time.monotonic() - begin
db.query("OPTIMIZE TABLE flows FINAL")
print(seconds, db.query("SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = 'flows' AND active", "TSV"))
"""


def missing():
    if not CAPTURES.is_dir():
        return f"no captures of real traffic in {CAPTURES}"
    return kafka.missing() or clickhouse.missing()


class Place(contextlib.ExitStack):
    """What a case of the tests gives to a server: a directory, and cleanup."""

    def __init__(self, directory):
        super().__init__()
        self.directory = directory

    def path(self, name):
        return os.path.join(self.directory, name)

    def addCleanup(self, *call):
        self.callback(*call)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(directory) for name in names
               if name.endswith(".log"))


def ddl(context, dialect, *options):
    """Without partitions: the captures are of many months, so each insert would make many parts, and not one."""
    statements = output(context.meter, "features", "cic82", "--ddl", dialect, *options)
    return "\n".join(line for line in statements.split("\n") if not line.startswith("PARTITION BY"))


def read_from(context, meter_id):
    words = [word for capture in sorted(CAPTURES.glob("*.pcap*")) for word in ("-f", capture)]
    return [context.meter, "-q", *words, "--fleet", "--meter-id", meter_id, "--extra", "direction"]


def old(context, place, rows):
    """Seconds until a server of 18.16 has all rows, by requests of 10,000 and from the topic; bytes of a row in it."""
    by_http, from_topic = [], []
    cluster = kafka.Cluster(place.path(""))
    place.callback(cluster.stop)
    client = kafka.Client(cluster.servers())
    client.create_topic(TOPIC)
    for number in range(METERS):
        run(*read_from(context, f"node-{number}"), "--kafka", f"{cluster.servers()}/{TOPIC}")
    in_topic = size_of(place.path("data-1")) / client.size(TOPIC)
    server = clickhouse.Server(place, skip_unknown_fields=True)
    for turn in range(context.rounds):
        server.run(ddl(context, "clickhouse-18"))
        begin = time.monotonic()
        for number in range(METERS):
            run(*read_from(context, f"node-{number}"), "-u", server.url("INSERT INTO flows FORMAT JSONEachRow"),
                "--url-format", "ndjson", "--url-batch", "10000")
        by_http.append(rows / (time.monotonic() - begin))
        server.query("OPTIMIZE TABLE flows FINAL")
        count, size = server.rows("SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE table = 'flows' AND active")[0]
        server.query("DROP TABLE flows")
        begin = time.monotonic()
        server.run(ddl(context, "clickhouse-18", "--table", f"t{turn}", "--kafka", f"{cluster.servers()}/{TOPIC}"))
        while int(server.query(f"SELECT uniqExact(flow_id) FROM t{turn}")) < rows:
            time.sleep(0.1)
        from_topic.append(rows / (time.monotonic() - begin))
        for suffix in ("_consumer", "_queue", "_once", "_1m", ""):
            server.query(f"DROP TABLE t{turn}{suffix}")
        note(f"fleet: round {turn + 1} of {context.rounds}")
    return in_topic, by_http, from_topic, int(size) / int(count)


def modern(context, place, rows_file):
    python = environment(context, "chdb")
    with open(place.path("modern.sql"), "w", encoding="utf-8") as file:
        file.write(ddl(context, "clickhouse"))
    rates = []
    for turn in range(context.rounds):
        seconds, count, size = output(python, "-c", MODERN, place.path(f"modern-{turn}"), place.path("modern.sql"),
                                      rows_file).split()
        rates.append(int(count) / float(seconds))
    return rates, int(size) / int(count)


def bench(context):
    with tempfile.TemporaryDirectory(dir=context.build, prefix="fleet.") as directory, Place(directory) as place:
        rows_file = place.path("rows.json")
        with open(rows_file, "w", encoding="utf-8") as file:
            for number in range(METERS):
                run(*read_from(context, f"node-{number}"), "--json", "-", stdout=file)
        with open(rows_file, "rb") as file:
            rows = sum(1 for _ in file)
        in_topic, by_http, from_topic, in_old = old(context, place, rows)
        rates, in_modern = modern(context, place, rows_file)
        size = os.path.getsize(rows_file) / rows
    lines = [["NDJSON", f"{size:.0f}", ""],
             ["topic of Kafka, lz4, of one replica", f"{in_topic:.0f}", ""],
             ["ClickHouse 18.16, requests of 10,000 rows", f"{in_old:.0f}", spread(by_http, digits=0)],
             ["ClickHouse 18.16, from the topic", f"{in_old:.0f}", spread(from_topic, digits=0)],
             ["modern ClickHouse (chdb), from a file", f"{in_modern:.0f}", spread(rates, digits=0)]]
    return [f"{rows:,} rows of 82 columns with `--fleet`, of {rows // METERS:,} flows of {len(list(CAPTURES.glob('*.pcap*')))} "
            "captures of real traffic. Meter, broker and database share this machine. Bytes in ClickHouse are those on disk "
            "after OPTIMIZE, in a table without partitions by month, as the captures are of many months.\n\n" + table(["where", "bytes a row", "rows/s"], lines)]


PART = Part("fleet", "what rows cost in a topic of Kafka and in ClickHouse", ("A fleet's rows",), bench, missing=missing)
