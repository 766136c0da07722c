# SPDX-License-Identifier: BSD-3-Clause
"""A real ClickHouse server, Debian's clickhouse-server 18.16, on free ports of the loopback, with a directory of its own."""
import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

from ports import free_ports

PROGRAM = "clickhouse-server"
START_SECONDS = 60

CONFIG = """<yandex>
  <logger><level>warning</level><log>{directory}/log</log><errorlog>{directory}/errors</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{interserver}</interserver_http_port>
  <path>{directory}/data/</path><tmp_path>{directory}/tmp/</tmp_path>
  <users_config>{directory}/users.xml</users_config>
  <default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
  <kafka><auto_offset_reset>earliest</auto_offset_reset></kafka>
</yandex>
"""
# Kafka messages with members that the table lacks are refused without the first setting. They are inserted when there are as
# many rows as the second says, or when none has come for half a second.
USERS = """<yandex>
  <profiles><default>
    <input_format_skip_unknown_fields>{skip}</input_format_skip_unknown_fields><max_block_size>{block}</max_block_size>
  </default></profiles>
  <users><default>
    <password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</yandex>
"""


def missing():
    """Why no server can be started here, or ""."""
    return "" if shutil.which(PROGRAM) else "needs Debian's clickhouse-server"


class Refused(Exception):
    """The server's answer to a query that failed."""


class Server:
    """case: skipped if the program is missing; ends the server. namespace: it runs in this one."""

    def __init__(self, case, skip_unknown_fields=False, namespace=None, max_block_size=65536):
        self.namespace = namespace
        if not shutil.which(PROGRAM):
            case.skipTest("clickhouse-server is not installed: scripts/install-dependencies --fleet installs it")
        self.directory = case.path("clickhouse")
        os.mkdir(self.directory, 0o700)
        self.port, tcp, interserver = free_ports(3)
        self.write("config.xml", CONFIG.format(directory=self.directory, http=self.port, tcp=tcp, interserver=interserver))
        self.write("users.xml", USERS.format(skip=int(skip_unknown_fields), block=max_block_size))
        self.process = None
        case.addCleanup(self.stop)
        self.start()

    def write(self, name, text):
        with open(os.path.join(self.directory, name), "w", encoding="ascii") as file:
            file.write(text)

    def start(self):
        with open(os.path.join(self.directory, "out"), "ab") as out:
            enter = self.namespace.enter if self.namespace else ()
            self.process = subprocess.Popen([*enter, PROGRAM, "--config-file", os.path.join(self.directory, "config.xml")],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.directory)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.query("SELECT 1") == "1":
                    return
            except OSError:
                time.sleep(0.05)
        with open(os.path.join(self.directory, "out"), encoding="utf-8", errors="replace") as out:
            raise AssertionError(f"{PROGRAM} does not start: {out.read()[-2000:]}")

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self.process = None

    def kill(self):
        self.stop(signal.SIGKILL)

    def url(self, query, **settings):
        """With spaces in the query, as people write it."""
        more = "".join(f"&{name}={value}" for name, value in settings.items())
        return f"http://127.0.0.1:{self.port}/?query={query}{more}"

    def query(self, sql, body=None):
        """The answer as text. body: of an INSERT."""
        arguments = "" if body is None else "?" + urllib.parse.urlencode({"query": sql})
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{arguments}",
                                         data=(sql if body is None else body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with self.namespace.inside() if self.namespace else contextlib.nullcontext(), \
                    opener.open(request, timeout=60) as answer:
                return answer.read().decode().strip("\n")
        except urllib.error.HTTPError as error:
            with error:
                raise Refused(f"{error.read().decode()} to {sql[:200]}") from None

    def run(self, statements):
        """Each statement of a text."""
        for statement in statements.split(";\n"):
            if statement.strip():
                self.query(statement)

    def rows(self, sql):
        """Lists of texts."""
        text = self.query(sql)
        return [line.split("\t") for line in text.split("\n")] if text else []
