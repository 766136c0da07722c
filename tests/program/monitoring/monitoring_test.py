# SPDX-License-Identifier: BSD-3-Clause
"""packaging/monitoring: the rules do what they say, and rules, dashboard and documents name metrics that exist."""
import json
import os
import re
import shutil
import subprocess

import yaml

import cases
import metrics
import prometheus

HERE = os.path.dirname(os.path.abspath(__file__))
METRIC = re.compile(r"\b(?:flowmeter|process)_[a-z0-9_]+\b")


def read(*path):
    with open(os.path.join(cases.ROOT, *path), encoding="utf-8") as file:
        return file.read()


class Names(cases.Case):
    def test_metrics_exist(self):
        known = metrics.samples()
        self.assertGreater(len(known), 30)
        for path in (("packaging", "monitoring", "flowmeter.rules.yml"),
                     ("packaging", "monitoring", "flowmeter-dashboard.json"),
                     ("tests", "program", "monitoring", "flowmeter.rules.test.yml")):
            found = set(METRIC.findall(read(*path)))
            self.assertGreater(len(found), 10, path)
            self.assertEqual(found - known, set(), path)

    def test_every_metric_is_documented(self):
        documented = set(re.findall(r"^\| `([a-z_0-9]+)` \|", read("docs", "metrics.md"), re.M))
        self.assertEqual(documented, metrics.samples())

    def test_every_alert_is_tested(self):
        rules = yaml.safe_load(read("packaging", "monitoring", "flowmeter.rules.yml"))
        alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
        fired = set(re.findall(r'alertname="(\w+)"', read("tests", "program", "monitoring", "flowmeter.rules.test.yml")))
        self.assertEqual(alerts, fired)


class Dashboard(cases.Case):
    def test_can_be_imported(self):
        """What Grafana 9 and 10 require of a file, as far as it can be told without them."""
        dashboard = json.loads(read("packaging", "monitoring", "flowmeter-dashboard.json"))
        self.assertNotIn("id", dashboard, "an id is of one Grafana")
        self.assertGreaterEqual(dashboard["schemaVersion"], 36)
        variables = {each["name"]: each for each in dashboard["templating"]["list"]}
        self.assertEqual(variables["datasource"]["type"], "datasource")
        ids, places = [], set()
        for panel in dashboard["panels"]:
            ids.append(panel["id"])
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertLessEqual(place["x"] + place["w"], 24)
            self.assertEqual(cells & places, set(), f"{panel['title']} covers another panel")
            places |= cells
            if panel["type"] == "row":
                continue
            self.assertEqual(panel["datasource"]["uid"], "${datasource}")
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                self.assertEqual(target["datasource"]["uid"], "${datasource}")
                for name in re.findall(r"\$\{?(\w+)", target["expr"]):
                    self.assertIn(name, {*variables, "__rate_interval"}, target["expr"])
            refs = [target["refId"] for target in panel["targets"]]
            self.assertEqual(len(refs), len(set(refs)), panel["title"])
        self.assertEqual(len(ids), len(set(ids)))

    def test_expressions_are_promql(self):
        if prometheus.missing("promtool"):
            self.skipTest(prometheus.missing("promtool"))
        dashboard = json.loads(read("packaging", "monitoring", "flowmeter-dashboard.json"))
        expressions = [target["expr"].replace("$__rate_interval", "5m") for panel in dashboard["panels"]
                       for target in panel.get("targets", ())]
        with open(self.path("rules.yml"), "w", encoding="utf-8") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [
                {"record": f"x{n}", "expr": each} for n, each in enumerate(expressions)]}]}, file)
        done = subprocess.run(["promtool", "check", "rules", self.path("rules.yml")], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class Rules(cases.Case):
    def setUp(self):
        super().setUp()
        if prometheus.missing("promtool"):
            self.skipTest(prometheus.missing("promtool"))
        shutil.copy(os.path.join(prometheus.MONITORING, "flowmeter.rules.yml"), self.directory)
        shutil.copy(os.path.join(prometheus.MONITORING, "prometheus.yml"), self.directory)
        shutil.copy(os.path.join(HERE, "flowmeter.rules.test.yml"), self.directory)

    def promtool(self, *arguments):
        return subprocess.run(["promtool", *arguments], cwd=self.directory, capture_output=True, text=True, timeout=60)

    def test_fire_when_they_should(self):
        done = self.promtool("test", "rules", "flowmeter.rules.test.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_wrong_rule_fails(self):
        """The tests can fail."""
        rules = read("packaging", "monitoring", "flowmeter.rules.yml")
        with open(self.path("flowmeter.rules.yml"), "w", encoding="utf-8") as file:
            file.write(rules.replace("flowmeter_output_up == 0", "flowmeter_output_up == 1"))
        self.assertEqual(self.promtool("test", "rules", "flowmeter.rules.test.yml").returncode, 1)

    def test_the_configuration_is_valid(self):
        done = self.promtool("check", "config", "prometheus.yml")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
