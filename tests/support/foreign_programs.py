# SPDX-License-Identifier: BSD-3-Clause
"""Programs of other owners at the hooks of an interface. Each has two instructions, is loaded by bpf(2), and passes all
packets on. Links end with the object that holds them, filters and pins with the namespace and the case's bpffs."""
import ctypes
import os
import platform
import socket
import struct

import namespaces

SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}.get(platform.machine())
BPF_PROG_LOAD, BPF_OBJ_PIN, BPF_OBJ_GET_INFO_BY_FD, BPF_LINK_CREATE = 5, 6, 15, 28
SCHED_CLS, XDP = 3, 6  # program types
TCX_INGRESS, TCX_EGRESS, XDP_LINK = 46, 47, 37  # attach types
XDP_FLAGS_SKB_MODE, XDP_FLAGS_DRV_MODE = 2, 4
TCX_NEXT, XDP_PASS = -1, 2
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """bpf(2); attributes are the bytes of union bpf_attr."""
    buffer = ctypes.create_string_buffer(attributes, 144)
    result = libc.syscall(SYS_BPF, command, buffer, len(buffer))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf command {command}: {os.strerror(error)}")
    return result


class Program:
    """r0 = verdict; exit."""

    def __init__(self, case, kind, name, verdict):
        instructions = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, verdict, 0x95, 0, 0, 0))
        licence = ctypes.create_string_buffer(b"BSD")
        self.name = name
        self.fd = bpf(BPF_PROG_LOAD, struct.pack("<IIQQIIQII16s", kind, 2, ctypes.addressof(instructions),
                                                 ctypes.addressof(licence), 0, 0, 0, 0, 0, name.encode()))
        case.addCleanup(os.close, self.fd)
        info = ctypes.create_string_buffer(256)
        bpf(BPF_OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", self.fd, len(info), ctypes.addressof(info)))
        self.id = struct.unpack_from("<I", info, 4)[0]


def link(case, namespace, program, interface, attach_type, flags=0):
    """Attaches by a BPF link, in the namespace, until the case ends."""
    with namespace.inside():
        fd = bpf(BPF_LINK_CREATE, struct.pack("<IIII", program.fd, index_of(namespace, interface), attach_type, flags))
    case.addCleanup(os.close, fd)
    return fd


def index_of(namespace, interface):
    with namespace.inside():
        return socket.if_nametoindex(interface)


def pin(case, program):
    """Pins the program in a bpffs of the case, and returns the path."""
    directory = case.path("bpffs")
    if not os.path.isdir(directory):
        os.mkdir(directory)
        namespaces.run("mount", "-t", "bpf", "bpf", directory)
        case.addCleanup(namespaces.run, "umount", "-l", directory, check=False)
    path = os.path.join(directory, program.name)
    pathname = ctypes.create_string_buffer(path.encode())
    bpf(BPF_OBJ_PIN, struct.pack("<QI", ctypes.addressof(pathname), program.fd))
    return path
