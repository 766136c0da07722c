# SPDX-License-Identifier: BSD-3-Clause
"""The keyword arguments of a run. scripts/generate-docs writes them from the program's table of options."""
import ast
import inspect
import os
from collections.abc import Iterable
from typing import Literal, TypedDict

Path = str | os.PathLike[str]
Names = str | Iterable[str]


class Settings(TypedDict, total=False):
    """Keyword arguments of every run. They are options of the program: their names, bounds, defaults and effects are the
    same. A list of columns may also be one text, "src_ip,dst_ip". None, and False for a switch, mean the default. The
    defaults of time-outs and gaps are those of the feature set cic82. What is printed goes to the logger "flowmeter".
    """
    # generated: settings
    features: Literal["cic82", "netflowmeter114", "realtime97"]
    """Columns, and defaults of time-outs and gaps: cic82, netflowmeter114 (activity gap 100 s), or realtime97 (time-outs 5
    s, activity gap 1 s, bulks of at least 1 packet within 0.1 s; HTTP, TLS, DNS). Default: "cic82"."""
    fields: Names
    """Write only these columns, in this order."""
    extra: Names
    """Append these columns after the others (they are the last ones in --list-fields)."""
    quality: bool
    """Append columns that say how far a row can be trusted (short for extra with their names)."""
    fleet: bool
    """Append meter_id, flow_id, flow_key and community_id, which identify a row among those of many meters (short for extra
    with their names)."""
    meter_id: str
    """The name of this meter in the column meter_id and in the ids of flows (default: the machine's id, else its host
    name)."""
    community_id_seed: int
    """Seed of the column community_id; programs whose ids are compared need the same. Default: 0."""
    packets: int
    """Stop after this many packets (live: at least)."""
    idle_timeout: float
    """Seconds: a longer silence ends a TCP or UDP flow. Default: 240."""
    icmp_idle_timeout: float
    """Seconds: a longer silence ends an ICMP flow. Default: 60."""
    tcp_linger: float
    """Seconds: a longer silence ends a closed TCP flow. Default: 5."""
    active_timeout: float
    """Seconds: a flow that lasts longer is continued by a new one. Default: 1800."""
    activity_gap: float
    """Seconds: a longer gap is idle time between active periods. Default: 5."""
    subflow_gap: float
    """Seconds: a longer gap starts a new subflow. Default: 1."""
    bulk_min_packets: int
    """Number of successive payload packets that make a bulk. Default: 4."""
    bulk_max_gap: float
    """Seconds: a longer gap between them ends a bulk. Default: 1."""
    fragment_memory: float
    """Seconds: time for which a first fragment is remembered. Default: 30."""
    max_flows: int
    """Most flows held at a time; beyond that, old ones are forced out, and counted (with datapath="kernel": 80000).
    Default: 2097152, live 120000."""
    max_fragments: int
    """Most first fragments remembered at a time. Default: 65536."""
    strict: bool
    """Fail on a damaged capture."""
    verbose: bool
    """Print more messages."""
    # end: settings


class LiveSettings(Settings, total=False):
    """Further keyword arguments of live metering."""
    # generated: live_settings
    netns: str | int
    """Look for the interfaces in this network namespace: a name, a path or a PID."""
    duration: float
    """Seconds: stop after this time."""
    event_memory: int
    """MiB for the event streams of all CPUs (rounded up to a power of two). Default: 32."""
    batch: int
    """Most events taken before the clock is read and rows are written. Default: 65536."""
    hook: Literal["auto", "tcx", "tc", "xdp", "xdp-generic"]
    """Where packets are seen: tcx (both directions), tc (clsact, for kernels without TCX), xdp or xdp-generic (received
    packets; sent ones by tcx), or auto (tcx if the kernel has it, else tc). Default: "auto"."""
    attach_order: Literal["first", "last"]
    """Place among other programs at the hook: first or last. Default: "first"."""
    datapath: Literal["events", "kernel"]
    """Where times are kept: events (in the program, which gets one event per packet) or kernel (in the flow map: no events,
    less CPU, more memory per flow). Default: "events"."""
    flow_map: Literal["hash", "lru"]
    """What a full map does: hash (refuse new flows; the program meters them) or lru (drop old ones). Default: "hash"."""
    per_interface: bool
    """Give each interface its own flows; otherwise a packet that passes several interfaces is counted at the first."""
    pin: Path
    """Keep the metering state in this directory of a bpffs: it outlives the program, and the next run with pin continues
    the same flows."""
    state_dir: Path
    """With pin: keep what the kernel does not know of open flows in this directory, best in memory (with --user NAME:
    /run/flowmeter-ebpf-NAME). Default: /run/flowmeter-ebpf."""
    unpin: bool
    """With pin: at the end, write all flows, detach and remove the pins (but not on SIGUSR2, which says that another run
    follows)."""
    attribute: Literal["off", "container", "process"]
    """Append columns that say whose packets a flow has, for both of its ends: container (container, pod, cgroup), process
    (also process id and command) or off. Default: "off"."""
    engine: str
    """Ask this container engine for names, read-only: the socket of Docker, Podman, containerd or CRI-O, such as
    unix:///run/docker.sock."""
    # end: live_settings


def _describe(kind: type) -> None:
    """Adds the texts after the fields, which are for editors, to the text of the class, which help() shows."""
    (defined,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(defined, ast.ClassDef)
    texts = [inspect.cleandoc(kind.__doc__ or "")]
    for field, text in zip(defined.body, defined.body[1:]):
        match field, text:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str() as described)):
                texts.append(f"{name}: {' '.join(described.split())}")
    kind.__doc__ = "\n\n".join(texts)


_describe(Settings)
_describe(LiveSettings)
