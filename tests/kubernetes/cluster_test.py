# SPDX-License-Identifier: BSD-3-Clause
"""packaging/kubernetes in a real cluster of one node, against what the kernel and the API say of the pods: counts, names, a meter
that is deleted under traffic, and where the rows are. Needs root and scripts/install-dependencies --containers."""
import json
import os
import time

import cases
import cluster
import container_node
import meter
import namespaces

LABEL = "containers"
LOCK = "containers"  # one node at a time: each takes a gigabyte of memory
METER = ("-n", "flowmeter")
SERVICE, GATEWAY = "10.86.0.80", "10.85.0.1"  # the address of the node in the pods' network


class InACluster:
    driver = ""
    build = False

    def setUp(self):
        super().setUp()
        why = namespaces.missing_here()
        if why:
            self.skipTest(why)
        try:
            self.cluster = cluster.Cluster(self, self.driver, self.build)
        except container_node.Missing as missing:
            self.skipTest(str(missing))

    # ---- what happens in the cluster ----

    def apply(self):
        """The base as it is, and the workload."""
        k = self.cluster
        rendered = k.kubectl("kustomize", "/given/kubernetes/base")
        k.kubectl("apply", "-f", "-", stdin=rendered)
        k.wait("the meter is ready", *METER, "rollout", "status", "daemonset/flowmeter", "--timeout=1s")
        k.kubectl("create", "namespace", "shop")
        k.wait("pods can be made", "-n", "shop", "get", "serviceaccount", "default")
        k.kubectl("apply", "-f", "-", stdin=cluster.read("workload.yaml"))
        k.wait("the server runs", "-n", "shop", "rollout", "status", "deployment/web", "--timeout=1s")
        for pod in ("client", "on-host"):
            k.wait(f"{pod} runs", "-n", "shop", "wait", "--for=condition=ready", f"pod/{pod}", "--timeout=1s")
        k.wait("the static pod runs", "wait", "--for=condition=ready", "pod/fixed-kubenode", "--timeout=1s")

    def pods(self):
        """(namespace, name, uid as in cgroup paths, address) of each pod that has its own network."""
        found = []
        for pod in self.cluster.get("pods", "-A")["items"]:
            if not pod["spec"].get("hostNetwork"):
                says = pod["metadata"]
                uid = says.get("annotations", {}).get("kubernetes.io/config.hash", says["uid"])
                found.append((says["namespace"], says["name"], uid, pod["status"]["podIP"]))
        return found

    def on_host(self):
        """(namespace, name, uid) of the pod that talks from the node's own network."""
        says = self.cluster.get("-n", "shop", "pod", "on-host")["metadata"]
        return says["namespace"], says["name"], says["uid"]

    def segments(self, pod, container="main"):
        """What the pod's kernel has sent by TCP: OutSegs has no retransmissions, and counts segments as on the wire."""
        for line in self.cluster.execute(pod, "cat", "/proc/net/snmp", container=container).splitlines():
            if line.startswith("Tcp: ") and line.split()[1].isdigit():
                return int(line.split()[11]) + int(line.split()[12])
        raise AssertionError("no TCP counts")

    def fetch(self, pod, times, address, container="main"):
        script = f"i=0; while [ $i -lt {times} ]; do wget -qO /dev/null http://{address}/f || exit 1; i=$((i + 1)); done"
        self.cluster.execute(pod, "sh", "-c", script, container=container)

    def job(self, name, pods, address):
        """A Job of short pods."""
        k = self.cluster
        text = cluster.read("job.yaml").replace("NAME", name).replace("PODS", str(pods)).replace("ADDRESS", address)
        k.kubectl("apply", "-f", "-", stdin=text)
        k.wait("the Job is done", "-n", "shop", "wait", "--for=condition=complete", f"job/{name}", "--timeout=1s")

    def delete_meter_under_traffic(self, address):
        """Connections follow one another while the meter's pod is deleted and the next one starts."""
        k = self.cluster
        name = k.get(*METER, "pods")["items"][0]["metadata"]["name"]
        client = self.cluster.node.start("kubenode", "kubectl", "--kubeconfig", cluster.ADMIN, "-n", "shop", "exec", "client", "-c",
                                         "main", "--", "sh", "-c", "until [ -e /tmp/enough ]; do "
                                         f"wget -qO /dev/null http://{address}:8080/f; done; touch /tmp/all")
        time.sleep(1)
        k.kubectl(*METER, "delete", "pod", name)
        k.wait("the next meter is ready", *METER, "rollout", "status", "daemonset/flowmeter", "--timeout=1s")
        self.assertNotEqual(k.get(*METER, "pods")["items"][0]["metadata"]["name"], name)
        time.sleep(1)
        k.execute("client", "touch", "/tmp/enough")
        self.assertEqual(client.wait(timeout=60), 0)

    def ask_containerd(self, address):
        """From now on names come from containerd alone. A pod that starts then has no other name."""
        k = self.cluster
        pod = "/spec/template/spec"
        spec = k.get(*METER, "daemonset/flowmeter")["spec"]["template"]["spec"]
        patch = [{"op": "remove", "path": f"{pod}/{where}/{[part['name'] for part in parts].index('names')}"}
                 for where, parts in (("volumes", spec["volumes"]), ("containers/0/volumeMounts", spec["containers"][0]["volumeMounts"]))]
        patch += [{"op": "add", "path": f"{pod}/volumes/-", "value": {"name": "engine", "hostPath": {"path": "/run/containerd"}}},
                  {"op": "add", "path": f"{pod}/containers/0/volumeMounts/-",
                   "value": {"name": "engine", "mountPath": "/run/containerd", "readOnly": True}},
                  {"op": "add", "path": f"{pod}/containers/0/env/-",
                   "value": {"name": "FLOWMETER_ENGINE", "value": "unix:///run/containerd/containerd.sock"}}]
        k.kubectl(*METER, "patch", "daemonset/flowmeter", "--type=json", "-p", json.dumps(patch))
        k.wait("the meter that asks containerd is ready", *METER, "rollout", "status", "daemonset/flowmeter", "--timeout=1s")
        self.job("later", 1, address)

    def end(self):
        """Ends metering as packaging/README.md says, so that all flows are written."""
        k = self.cluster
        k.kubectl(*METER, "set", "env", "daemonset/flowmeter", "FLOWMETER_UNPIN=true")
        k.wait("the meter will end", *METER, "rollout", "status", "daemonset/flowmeter", "--timeout=1s")
        k.kubectl(*METER, "delete", "daemonset/flowmeter", "--cascade=foreground", timeout=90)
        self.assertNotIn("flowmeter-ebpf", os.listdir(k.node.path("/sys/fs/bpf")))

    def rows(self):
        """All rows in the node's directory, which a shipper of logs would read there."""
        directory = self.cluster.node.path("/var/log/flowmeter-ebpf")
        found = []
        for name in sorted(os.listdir(directory)):
            self.assertTrue(name.endswith(".csv"), name)
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                found += meter.rows_of(file.read())
        return found

    # ---- what must be so ----

    def test_the_base(self):
        self.apply()
        web = [pod for pod in self.pods() if pod[1].startswith("web-")]
        address = web[0][3]
        self.cluster.execute("client", "ping", "-c", "4", "-i", "0.2", address)
        self.fetch("client", 8, f"{address}:8080")
        self.fetch("client", 2, f"{address}:8080", container="side")
        fixed = next(pod[3] for pod in self.pods() if pod[1].startswith("fixed"))
        self.fetch("client", 2, f"{fixed}:8080")
        self.fetch("on-host", 3, f"{address}:8080")
        self.job("burst", 10, address)
        self.delete_meter_under_traffic(address)
        self.ask_containerd(address)
        to_pods = self.segments("client")
        self.fetch("client", 4, SERVICE)
        to_service = self.segments("client") - to_pods
        back = sum(self.segments(name, "web") for _, name, _, _ in web)
        pods, hosts = self.pods(), self.on_host()
        self.end()
        rows = self.rows()
        self.counts(rows, pods, to_pods, to_service, back, address)
        self.names(rows, pods, hosts)

    def counts(self, rows, pods, to_pods, to_service, back, address):
        of_pod = {name: ip for _, name, _, ip in pods}
        sent = {"pods": 0, "service": 0, "back": 0, "ping": 0}
        bursts = {ip for name, ip in of_pod.items() if name.startswith("burst")}
        burst_pings = 0
        webs = {ip for name, ip in of_pod.items() if name.startswith("web")}
        for row in rows:
            forward, backward = int(row["tot_fwd_pkts"]), int(row["tot_bwd_pkts"])
            if row["protocol"] == "1" and row["dst_ip"] == address:
                sent["ping"] += (forward + backward) * (row["src_ip"] == of_pod["client"])
                burst_pings += (forward + backward) * (row["src_ip"] in bursts)
            if row["protocol"] == "6" and row["src_ip"] == of_pod["client"]:
                sent["service" if row["dst_ip"] == SERVICE else "pods"] += forward
            if row["protocol"] == "6" and row["dst_ip"] in webs:
                sent["back"] += backward
        self.assertEqual(sent, {"pods": to_pods + to_service, "service": to_service, "back": back, "ping": 8})
        self.assertEqual((len(bursts), burst_pings), (10, 60))

    def names(self, rows, pods, on_host):
        """Each end of each flow of pods has the names of its pod, and no other one's."""
        truth = {address: (space, name, uid.replace("-", "")) for space, name, uid, address in pods}
        truth = {address: [owner] for address, owner in truth.items()}
        truth[SERVICE] = [truth[address][0] for _, name, _, address in pods if name.startswith("web-")]
        space, name, uid = on_host
        from_node = [(space, name, uid.replace("-", ""))]  # who alone asks web servers from there
        packets = named = services = 0
        unnamed = []
        for row in rows:
            if row["protocol"] not in ("1", "6"):
                continue
            for side, count in (("src", "tot_fwd_pkts"), ("dst", "tot_bwd_pkts")):
                is_from_node = (side, row["src_ip"], row["dst_port"]) == ("src", GATEWAY, "8080")
                owners = from_node if is_from_node else truth.get(row[f"{side}_ip"])
                if not owners:
                    continue
                says = (row[f"{side}_namespace"], row[f"{side}_pod_name"], row[f"{side}_pod_uid"].replace("-", ""))
                packets += int(row[count])
                if not says[2]:
                    unnamed.append((side, row))
                    continue
                named += int(row[count])
                # containerd is asked once a second at most, so rows of a pod's first second may lack the names.
                if says[:2] == ("", "") and owners[0][1].startswith("later-"):
                    says = (*owners[0][:2], says[2])
                self.assertIn(says, owners, row)
            services += row["service"] == SERVICE + ":80"
            self.assertIn(row["service"], ("", SERVICE + ":80"), row)
        print(f"{self.driver}: {named} of {packets} packets of pods are named")
        self.assertEqual(unnamed, [])
        self.assertEqual(services, 8, "four connections to the Service are two rows each")
        asked = [row["src_container_name"] for row in rows if row["src_pod_name"] == "client" and row["protocol"] == "6"]
        self.assertEqual(asked.count("side"), 2)
        self.assertEqual(set(asked), {"main", "side"})
        later = {row["src_container_name"] for row in rows if row["src_pod_name"].startswith("later-")}
        self.assertEqual(later, {"later"}, "containerd has not named it")


class WithCgroupfs(InACluster, cases.Case):
    driver = "cgroupfs"


class WithSystemd(InACluster, cases.Case):
    driver = "systemd"
