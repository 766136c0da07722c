# SPDX-License-Identifier: BSD-3-Clause
import os
import sys
import tempfile

from .rounds import ROOT, Part, note, output, rotated, run, spread, table, timed

sys.path.append(str(ROOT / "tests" / "support"))
import kafka  # noqa: E402

FLOWS = 300_000
TOPIC = "flows"
# The options of each run. The spool is not in memory, where synchronising costs nothing.
ALONE, SENT = "rows to /dev/null", "topic, lz4"
VARIANTS = {ALONE: None, SENT: "", "topic, no compression": "compression.codec=none\n", "topic, lz4, spool": ""}


def bench(context):
    capture = context.directory / "kafka.pcap"
    flows = FLOWS // 10 if context.quick else FLOWS
    run(context.tools / "make_bench_capture", capture, flows, 2 * flows)
    # Some of the flows have no packet.
    rows = output(context.meter, "-q", "-f", capture, "--json", "-").count("\n")
    # The meter has a core for itself, with all threads of librdkafka; the broker has the others.
    ours, others = ["taskset", "-c", "0"], ["taskset", "-c", f"1-{os.cpu_count() - 1}"] if os.cpu_count() > 1 else []
    samples = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory(dir=context.build, prefix="kafka.") as directory, \
            tempfile.TemporaryDirectory(dir=context.build, prefix="spool.") as spool:
        cluster = kafka.Cluster(directory, prefix=others)
        try:
            client = kafka.Client(cluster.servers())
            client.create_topic(TOPIC)
            for turn in range(context.rounds + 1):
                for variant in rotated(VARIANTS, turn):
                    config = context.directory / "kafka.properties"
                    config.touch(mode=0o600)
                    config.write_text(VARIANTS[variant] or "")
                    before = client.size(TOPIC)
                    sample = timed([*ours, context.meter, "-q", "-f", capture,
                                    *(["--json", "/dev/null"] if variant == ALONE else
                                      ["--kafka", f"{cluster.servers()}/{TOPIC}", "--kafka-config", config]),
                                    *(["--spool", spool] if "spool" in variant else [])], context.directory)
                    if client.size(TOPIC) - before != (0 if variant == ALONE else rows):
                        sys.exit(f"bench: {client.size(TOPIC) - before} of {rows} rows are in the topic")
                    if turn > 0:  # the first round warms up the broker
                        samples[variant].append(sample)
                note(f"kafka: round {turn} of {context.rounds}")
        finally:
            cluster.stop()
    lines = [[variant, spread([rows / wall for wall, _, _ in values], digits=0),
              spread([rows / cpu for _, cpu, _ in values], digits=0)] for variant, values in samples.items()]
    return ["A replay sends rows with all columns to a topic of four partitions on a real broker on this machine, and ends when "
            "all of them are acknowledged. The meter, with all of its threads, runs on one core.\n\n"
            + table(["run", "rows/s, wall", "rows/s, CPU"], lines)]


PART = Part("kafka", "rows sent to a topic of a real Apache Kafka on this machine, beside their formatting alone", ("Kafka",), bench,
            missing=kafka.missing)
