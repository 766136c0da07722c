# SPDX-License-Identifier: BSD-3-Clause
"""A real Prometheus scrapes a meter, and its tools find nothing wrong with the text."""
import os
import subprocess

import meter
import metrics
import metrics_cases
import prometheus

TARGET = "127.0.0.1:9464"
ADDRESS = ("127.0.0.1", 9464)


class Scraped(metrics_cases.Metered):
    def test_by_prometheus(self):
        for program in ("prometheus", "promtool"):
            if prometheus.missing(program):
                self.skipTest(prometheus.missing(program))
        pair = self.pair()
        live = self.start(pair.a, "--metrics", TARGET, "--idle-timeout", "0.5", "--bpf-stats").wait_attached()
        server = prometheus.Prometheus(self, pair.a, TARGET)
        self.send(pair.a, 7)
        status, text = metrics.get(ADDRESS, namespace=pair.a)
        self.assertEqual(status, 200)
        metrics.Scrape(text)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))
        # All that is served is stored: no sample was refused.
        meter.wait_for("two scrapes", lambda: (server.one('count_over_time(up{job="flowmeter"}[1m])') or 0) >= 2)
        self.assertEqual(server.one('min_over_time(up{job="flowmeter"}[1m])'), 1)
        meter.wait_for("the packets are in a row", lambda: (server.one("flowmeter_row_packets_total") or 0) >= 7)
        self.assertEqual(server.one("sum(flowmeter_packets_total) - scalar(flowmeter_seen_packets_total)"), 0)
        stored = {labels["__name__"] for labels, _ in server.ask('{job="flowmeter"}')}
        now = metrics.scrape(ADDRESS, pair.a)
        self.assertLessEqual({name for name, _ in now.values}, stored)
        # A rule that needs no time, and one that must stay silent.
        meter.wait_for("a rule is evaluated", lambda: server.ask("flowmeter:unwritten_packets"))
        self.assertEqual(server.ask('ALERTS{alertname="FlowmeterAccountBroken"}'), [])
        live.stop_clean()
        meter.wait_for("Prometheus sees the end", lambda: server.one('up{job="flowmeter"}') == 0)
        meter.wait_for("the alert waits", lambda: server.ask('ALERTS{alertname="FlowmeterDown"}'))
        with open(server.log, encoding="utf-8") as log:
            self.assertNotIn("level=error", log.read())
        self.assertTrue(os.path.isdir(self.path("tsdb")))
