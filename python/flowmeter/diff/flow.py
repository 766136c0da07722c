# SPDX-License-Identifier: BSD-3-Clause
"""A frame of the capture as the programs read it, and a flow: frames with their directions."""
from typing import NamedTuple, Optional


class View(NamedTuple):
    """A frame as one program reads it. window: None without a TCP header."""

    header: int
    payload: int
    flags: int
    window: Optional[int]


class Frame:
    __slots__ = ("number", "time", "wire", "captured", "views", "refused")

    def __init__(self, number, time, wire, captured):
        self.number = number  # in the capture
        self.time, self.wire, self.captured = time, wire, captured
        self.views = {}
        self.refused = {}  # program -> boundary

    def view(self, program):
        """The frame as the program reads it, or as another program does if this one cannot."""
        return self.views.get(program) or next(iter(self.views.values()))


class Flow:
    def __init__(self, program, key, identity, begun):
        self.program = program
        self.key = key  # without direction
        self.identity = identity  # src_ip, dst_ip, src_port, dst_port, protocol
        self.begun = begun  # the boundary that separates it from the previous flow with the same key; None: the first
        self.members = []  # (Frame, forward)
        self.unwritten = None  # the boundary that explains why it has no row
