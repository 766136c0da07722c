# SPDX-License-Identifier: BSD-3-Clause
"""A real Prometheus in a network namespace, with the rules of packaging/monitoring."""
import json
import os
import shutil
import urllib.parse

import cases
import meter
import metrics

MONITORING = os.path.join(cases.ROOT, "packaging", "monitoring")
PORT = 9090


def missing(program="prometheus"):
    """Why it cannot run here, or ""."""
    return "" if shutil.which(program) else f"needs {program} (scripts/install-dependencies --fleet)"


class Prometheus:
    def __init__(self, case, namespace, target):
        self.namespace, self.log = namespace, case.path("prometheus.log")
        shutil.copy(os.path.join(MONITORING, "flowmeter.rules.yml"), case.directory)
        with open(os.path.join(MONITORING, "prometheus.yml"), encoding="utf-8") as file:
            configuration = file.read()
        for before, after in (("scrape_interval: 15s", "scrape_interval: 1s"), ('"127.0.0.1:9464"', f'"{target}"')):
            assert before in configuration
            configuration = configuration.replace(before, after)
        with open(case.path("prometheus.yml"), "w", encoding="utf-8") as file:
            file.write("global: {evaluation_interval: 1s}\n" + configuration)
        with open(self.log, "wb") as log:
            namespace.start("prometheus", "--config.file", case.path("prometheus.yml"), "--storage.tsdb.path",
                            case.path("tsdb"), "--web.listen-address", f"127.0.0.1:{PORT}", stderr=log,
                            env={**os.environ, "no_proxy": "*"})
        meter.wait_for("Prometheus starts", self.is_ready)

    def is_ready(self):
        try:
            return metrics.get(("127.0.0.1", PORT), "/-/ready", self.namespace)[0] == 200
        except OSError:
            return False

    def ask(self, expression):
        """[(labels, value)] of now."""
        status, text = metrics.get(("127.0.0.1", PORT), "/api/v1/query?" + urllib.parse.urlencode({"query": expression}),
                                   self.namespace)
        assert status == 200, text
        return [(each["metric"], float(each["value"][1])) for each in json.loads(text)["data"]["result"]]

    def one(self, expression):
        """The value, if there is exactly one."""
        found = self.ask(expression)
        return found[0][1] if len(found) == 1 else None
