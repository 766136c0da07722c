# SPDX-License-Identifier: BSD-3-Clause
"""Reads metrics from the unix socket of a meter."""
import http.client
import re
import socket


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def scrape(path):
    """{name: {labels as text: value}}"""
    connection = Connection(path)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    found = {}
    for name, labels, value in re.findall(r"^(\w+)(\{.*\})? (\S+)$", text, re.M):
        found.setdefault(name, {})[labels] = float(value)
    return found
