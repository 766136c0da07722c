# SPDX-License-Identifier: BSD-3-Clause
"""A "node" on this machine: a Debian root with mount, process, network, UTS, IPC and cgroup namespaces of its own, a fresh cgroup2
at /sys/fs/cgroup, and what container engines need there. Nothing is written to the root itself, so that nodes can share it.

The root is made once by debootstrap, in ~/.cache/flowmeter-ebpf. When the node's first process is killed, the kernel ends all
others of it, and its mounts and interfaces go with them; its cgroups are removed then.

cgroup2 may lack controllers here, because cgroup v1 has them (tests in a hybrid hierarchy). Then nothing in the node is limited,
but its cgroups are those that an engine makes anywhere."""
import contextlib
import glob
import os
import secrets
import shutil
import signal
import subprocess
import tempfile

import cgroups
import meter

CACHE = os.path.expanduser("~/.cache/flowmeter-ebpf")
# What each root has. Debian 12 has Docker 20.10 and containerd 1.6, Debian 13 has Docker 26.1 and docker compose 2.26.
ROOTS = {
    "node-bookworm": ("bookworm", "containerd,runc,containernetworking-plugins,iptables,iproute2,jq,busybox-static,procps,mount,"
                                  "conntrack,ethtool,openssl,systemd,dbus,docker.io,podman,curl,ca-certificates"),
    "node-trixie": ("trixie", "docker.io,docker-cli,docker-compose,iptables,nftables,iproute2,procps,mount,podman,runc"),
    "packages-bookworm": ("bookworm", "systemd,dbus,iproute2,procps,python3,libbpf1,libpcap0.8,libseccomp2,libcurl4,libmicrohttpd12"),
    "image-bookworm": ("bookworm", "curl,iputils-ping,python3"),
}
# The kubelet and systemd set these, which have no namespace: in the node, files lie over them.
MACHINE_WIDE = {"vm/overcommit_memory": 1, "vm/panic_on_oom": 0, "kernel/panic": 10, "kernel/panic_on_oops": 1,
                "kernel/keys/root_maxkeys": 1000000, "kernel/keys/root_maxbytes": 25000000, "fs/file-max": 1000000,
                "fs/nr_open": 1048576}
# Where engines keep layers: these must not be on the overlay of the root.
STATE = ("var/lib/docker", "var/lib/containerd", "var/lib/containers", "var/lib/kubelet", "var/lib/etcd")

# Becomes the first process of the new namespaces, in its cgroup. $1 is the node's directory, $2 the root; the rest is executed.
BOOT = r"""
set -eu
dir=$1 lower=$2
shift 2
root=$dir/root
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount --make-private "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t bpf -o mode=700 bpf "$root/sys/fs/bpf"  # as systemd does
mount -t tracefs tracefs "$root/sys/kernel/tracing" 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/run/lock" "$root/run/machine-wide"
for device in null zero full random urandom tty kmsg; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%:*}" "$root/dev/${number#*:}"; done
for given in $MACHINE_WIDE; do
  file=$root/run/machine-wide/$(echo "${given%=*}" | tr / _)
  echo "${given#*=}" >"$file"
  mount --bind "$file" "$root/proc/sys/${given%=*}"
done
for name in $STATE; do
  mkdir -p "$dir/state/$name" "$root/$name"
  mount --bind "$dir/state/$name" "$root/$name"
done
mkdir -p "$root/given" "$root/old"
printf '%s\n' "$GIVEN" | while IFS='=' read -r name path; do
  [ -n "$name" ] || continue
  if [ -d "$path" ]; then mkdir "$root/given/$name"; else touch "$root/given/$name"; fi
  mount --bind "$path" "$root/given/$name"
done
hostname "$NODE_NAME"
ip link set lo up
cd "$root"
pivot_root . old
umount -l /old
rmdir /old
mount --make-rshared /
# A cgroup with children of its own may not hold processes where it gives them controllers. (systemd does this by itself.)
case $1 in */systemd) ;; *) mkdir /sys/fs/cgroup/init && echo 1 >/sys/fs/cgroup/init/cgroup.procs ;; esac
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root container=test "$@"
"""


class Missing(Exception):
    """Why no node can be made here."""


def root_directory(name):
    """The root of this name, which is made if it is not there, or was made of other packages."""
    suite, packages = ROOTS[name]
    directory = os.path.join(CACHE, name)
    with contextlib.suppress(OSError), open(os.path.join(directory, "made"), encoding="ascii") as file:
        if file.read().strip() == packages:
            return directory
    if shutil.which("debootstrap") is None:
        raise Missing("needs debootstrap (scripts/install-dependencies --containers)")
    os.makedirs(CACHE, exist_ok=True)
    making = tempfile.mkdtemp(prefix=f"{name}.", dir=CACHE)
    try:
        os.chmod(making, 0o755)
        # What it mounts goes with its mount namespace, also if it is killed. run_cases.py makes warnings of Python errors, also for
        # the packages that it would configure.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(["unshare", "--mount", "debootstrap", "--variant=minbase", "--include=" + packages, suite, making],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env=environment)
        if done.returncode:
            raise Missing(f"debootstrap of {suite}: {done.stdout[-300:]}")
        shutil.rmtree(os.path.join(making, "var/cache/apt/archives"), ignore_errors=True)
        with open(os.path.join(making, "made"), "w", encoding="ascii") as file:
            file.write(packages + "\n")
        shutil.rmtree(directory, ignore_errors=True)
        os.rename(making, directory)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return directory


def remove_cgroups(top):
    """Whether this cgroup and those below it are gone now; those with processes stay."""
    for directory, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.isdir(top)


def remove_left():
    """Removes what a test that was killed by kill -9 has left."""
    for path in glob.glob(os.path.join(cgroups.mount(), "fmnode-*")) + glob.glob(os.path.join(tempfile.gettempdir(), "fmnode-*")):
        if not os.path.exists(f"/proc/{os.path.basename(path).split('-')[1]}"):
            if path.startswith(cgroups.mount()):
                remove_cgroups(path)
            else:
                shutil.rmtree(path, ignore_errors=True)


class Node:
    """Starts with `init`, a command of the root, as its first process. It finds the files and directories of `given` (a name for
    each) in /given, and `settings` at their paths: text, (text, mode), or "->" and what a link points to."""

    def __init__(self, case, root, *init, name="node", settings=None, given=None):
        self.name = name
        if missing := cgroups.missing_here():
            raise Missing(missing)
        remove_left()
        self.directory = tempfile.mkdtemp(prefix=f"fmnode-{os.getpid()}-")
        case.addCleanup(self._remove_directory)
        for part in ("upper", "work", "root", "state"):
            os.mkdir(os.path.join(self.directory, part))
        for path, text in (settings or {}).items():
            self._write_setting(path, text)
        self.cgroup = os.path.join(cgroups.mount(), f"fmnode-{os.getpid()}-{secrets.token_hex(3)}")
        os.mkdir(self.cgroup)
        case.addCleanup(self._remove_cgroups)
        self.log = case.path(f"{name}.log")
        inner = ["unshare", "--cgroup", "sh", "-c", BOOT, "boot", self.directory, root, *init]
        with open(self.log, "wb") as log:
            # Only in its cgroup may the first process make its cgroup namespace, whose root that cgroup is then.
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net", "--propagation", "private",
                 "sh", "-c", 'mount -t proc proc /proc; echo 1 >"$NODE_CGROUP/cgroup.procs"; exec "$@"', "enter", *inner],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=meter.die_with_parent,
                env={**os.environ, "NODE_CGROUP": self.cgroup, "NODE_NAME": name, "STATE": " ".join(STATE),
                     "GIVEN": "\n".join(f"{name}={os.path.abspath(path)}" for name, path in (given or {}).items()),
                     "MACHINE_WIDE": " ".join(f"{path}={value}" for path, value in MACHINE_WIDE.items())})
        case.addCleanup(self.stop)

    def _write_setting(self, path, text):
        path = os.path.join(self.directory, "upper", path.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(text, str) and text.startswith("->"):
            os.symlink(text.removeprefix("->"), path)
            return
        text, mode = text if isinstance(text, tuple) else (text, 0o644)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def first_process(self):
        """Its id here, or 0."""
        try:
            with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
                return int(file.read().split()[0])
        except (OSError, IndexError):
            return 0

    def entering(self, *command):
        """The command that runs `command` in the node."""
        return ["nsenter", "-t", str(self.first_process()), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--", "env", "-i",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", *command]

    def run(self, *command, check=True, timeout=120, stdin=None):
        """Its standard output; an AssertionError if it fails, unless check is false."""
        done = self.try_run(*command, timeout=timeout, stdin=stdin)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)[:300]}: status {done.returncode}: {(done.stdout + done.stderr).strip()[-800:]}")
        return done.stdout

    def try_run(self, *command, timeout=120, stdin=None):
        if self.process.poll() is not None:
            raise AssertionError(f"the node has ended: {self.logged()}")
        return subprocess.run(self.entering(*command), input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                              preexec_fn=meter.die_with_parent, check=False)

    def start(self, *command, **options):
        """A process in the node, which ends with it."""
        return subprocess.Popen(self.entering(*command), preexec_fn=meter.die_with_parent,
                                **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options})

    def path(self, name):
        """Where a file of the node is here."""
        return f"/proc/{self.first_process()}/root/{name.lstrip('/')}"

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def stop(self):
        first = self.first_process()
        if first:
            os.kill(first, signal.SIGKILL)
        elif self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=60)

    def _remove_cgroups(self):
        meter.wait_for("the node's cgroups are empty", lambda: remove_cgroups(self.cgroup), 30)

    def _remove_directory(self):
        shutil.rmtree(self.directory, ignore_errors=True)
