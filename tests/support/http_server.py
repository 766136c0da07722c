# SPDX-License-Identifier: BSD-3-Clause
"""A web service that takes flows, and fails as told: it refuses, delays, closes, recovers. HTTP or HTTPS, on a port
that stays the same after a stop and a start."""
import csv
import gzip
import http.server
import json
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time

# Actions for a request; a number is an HTTP status, and (status, headers) or (status, headers, body) a whole answer.
CUT = "cut"  # takes it and closes the connection without an answer
RESET = "reset"  # takes it and resets the connection
CUT_ANSWER = "cut answer"  # closes it in the middle of a 200 answer's body
LATE = "late"  # answers 200 when the client has long gone
SILENT = "silent"  # never answers


class Request:
    def __init__(self, handler, body):
        self.path, self.headers, self.body = handler.path, dict(handler.headers), body
        self.connection = handler.client_address
        self.time = time.monotonic()

    def text(self):
        encoding = self.headers.get("Content-Encoding")
        if encoding == "gzip":
            return gzip.decompress(self.body).decode()
        if encoding == "zstd":
            return subprocess.run(["zstd", "-dcq"], input=self.body, check=True, capture_output=True, timeout=60).stdout.decode()
        return self.body.decode()

    def rows(self):
        kind = self.headers["Content-Type"]
        if kind == "application/x-ndjson":
            return [json.loads(line) for line in self.text().splitlines()]
        if kind == "text/csv":
            return list(csv.DictReader(self.text().splitlines()))
        value = json.loads(self.text())
        return value if isinstance(value, list) else [value]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is more than one write, of which the last would wait for 40 ms

    def do_POST(self):
        service = self.server.service
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = Request(self, body)
        with service.lock:
            service.requests.append(request)
            action = service.plan(len(service.requests))
        if action == SILENT:
            service.stopping.wait(60)
            self.close_connection = True
        elif action == CUT:
            self.close_connection = True
        elif action == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif action == LATE:
            service.stopping.wait(3)
            self.close_connection = True
        elif action == CUT_ANSWER:
            service.acknowledge(request)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            self.close_connection = True
        else:
            status, headers, *words = action if isinstance(action, tuple) else (action, {})
            answer = words[0] if words else b"ok"
            if 200 <= status < 300:
                service.acknowledge(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass  # clients go away


class Service:
    """plan(n) says what to do with the n-th request (from 1). tls(context) changes what the server accepts."""

    def __init__(self, case, plan=lambda n: 200, certificate=None, start=True, address="127.0.0.1", tls=None):
        self.plan, self.certificate, self.address, self.tls = plan, certificate, address, tls
        self.lock = threading.Lock()
        self.requests, self.acknowledged = [], []
        self.server, self.stopping = None, threading.Event()
        with socket.socket() as s:  # a free port, on which the service can start again
            s.bind((address, 0))
            self.port = s.getsockname()[1]
        case.addCleanup(self.stop)
        if start:
            self.start()

    def url(self, path="/flows"):
        return f"{'https' if self.certificate else 'http'}://{self.address}:{self.port}{path}"

    def start(self):
        self.stopping.clear()
        self.server = Server((self.address, self.port), Handler)
        self.server.service = self
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            if self.tls:
                self.tls(context)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.stopping.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def acknowledge(self, request):
        with self.lock:
            self.acknowledged.extend(request.rows())


def make_certificate(case, name, subject):
    """A self-signed certificate for this subjectAltName, and its key."""
    certificate, key = case.path(name + ".pem"), case.path(name + ".key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=" + name, "-addext", "subjectAltName=" + subject, "-keyout", key, "-out",
                    certificate], check=True, capture_output=True, timeout=60)
    return certificate, key
