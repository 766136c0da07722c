# SPDX-License-Identifier: BSD-3-Clause
"""packaging/kubernetes against the schemas of Kubernetes' own API, strictly: a field that does not exist is an error. A real cluster
runs the base in tests/kubernetes."""
import copy
import glob
import os
import re
import subprocess

import kubernetes_validate
import yaml

import cases

LABEL = "environment"
ENVIRONMENTS = "newest"
BASE = os.path.join(cases.ROOT, "packaging", "kubernetes")
# The oldest and the newest minor version that get fixes (a year each), and the one that runs in tests/kubernetes.
VERSIONS = ("1.34", "1.35", "1.37")
# What the Prometheus operator defines itself: (its fields that are used here, by path).
POD_MONITOR = {"apiVersion", "kind", "metadata", "metadata.name", "spec", "spec.selector", "spec.selector.matchLabels",
               "spec.selector.matchLabels.app.kubernetes.io/name", "spec.podMetricsEndpoints", "spec.podMetricsEndpoints.port",
               "spec.podMetricsEndpoints.interval"}
KUSTOMIZE = {"Kustomization": {"namespace", "labels", "resources", "configMapGenerator", "images"}, "Component": {"resources", "patches"}}


def documents():
    """{file below packaging/kubernetes: what it describes}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(BASE, "**", "*.yaml"), recursive=True)):
        with open(path, encoding="utf-8") as file:
            found[os.path.relpath(path, BASE)] = yaml.safe_load(file)
    return found


def paths(value, before=""):
    if isinstance(value, dict):
        for name, part in value.items():
            yield before + name
            yield from paths(part, before + name + ".")
    elif isinstance(value, list):
        for part in value:
            yield from paths(part, before)


class Manifests(cases.Case):
    def setUp(self):
        super().setUp()
        self.documents = documents()
        self.daemonset = self.documents["base/daemonset.yaml"]

    def test_each_file_is_valid_in_all_versions(self):
        kinds = set()
        for name, document in self.documents.items():
            if name.endswith("kustomization.yaml"):
                fields = set(document) - {"apiVersion", "kind"}
                self.assertLessEqual(fields, KUSTOMIZE[document["kind"]], name)
                for part in document.get("resources", []):
                    self.assertIn(os.path.normpath(os.path.join(os.path.dirname(name), part)), self.documents)
            elif document["kind"] == "PodMonitor":
                self.assertEqual(set(paths(document)), POD_MONITOR)
            else:
                kinds.add(document["kind"])
                for version in VERSIONS:
                    with self.subTest(file=name, version=version):
                        kubernetes_validate.validate(document, version, strict=True)
        self.assertEqual(kinds, {"DaemonSet", "Namespace", "PriorityClass", "ServiceAccount"})

    def test_a_misspelt_field_is_found(self):
        for where in ((), ("spec",), ("spec", "template", "spec"), ("spec", "template", "spec", "containers", 0),
                      ("spec", "template", "spec", "containers", 0, "securityContext")):
            wrong = copy.deepcopy(self.daemonset)
            part = wrong
            for step in where:
                part = part[step]
            part["readOnlyRootFileSystem"] = True
            for version in VERSIONS:
                with self.subTest(where=where, version=version), self.assertRaises(kubernetes_validate.ValidationError):
                    kubernetes_validate.validate(wrong, version, strict=True)

    def test_every_volume_is_mounted_and_every_mount_has_one(self):
        pod = self.daemonset["spec"]["template"]["spec"]
        self.assertEqual({volume["name"] for volume in pod["volumes"]},
                         {mount["name"] for mount in pod["containers"][0]["volumeMounts"]})

    def test_the_meter_has_three_capabilities_and_is_otherwise_confined(self):
        context = self.daemonset["spec"]["template"]["spec"]["containers"][0]["securityContext"]
        self.assertEqual(context["capabilities"], {"drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "PERFMON"]})
        self.assertTrue(context["readOnlyRootFilesystem"])
        self.assertFalse(context["allowPrivilegeEscalation"])
        self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})

    def test_the_options_are_options_and_their_paths_are_mounted(self):
        path = os.path.join(BASE, "base", "flow.toml")
        done = subprocess.run([cases.meter_path, "--config", path, "--print-config"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        container = self.daemonset["spec"]["template"]["spec"]["containers"][0]
        with open(path, encoding="utf-8") as file:
            named = re.findall(r'^[\w-]+ = "(/[^"]*)"', file.read(), re.M)
        self.assertEqual(len(named), 3)
        for name in named:
            self.assertTrue([mount for mount in container["volumeMounts"]
                             if (name + "/").startswith(mount["mountPath"] + "/") and not mount.get("readOnly")], name)
