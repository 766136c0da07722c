# SPDX-License-Identifier: BSD-3-Clause
"""Ports for servers that tests start."""
import socket


def free_ports(count):
    """Different TCP ports of the loopback that nobody uses now. Another process may take one before the server does."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
