# SPDX-License-Identifier: BSD-3-Clause
"""Images without a registry: archives that `docker load`, `podman load` and `ctr images import` read, made of a program that was
built here. The meter's image has the program with its libraries, so it runs whatever Debian the node is; its settings (user,
file capabilities, entry point …) are those of packaging/compose/Dockerfile."""
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile

import cases

COMPOSE = os.path.join(cases.ROOT, "packaging", "compose")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def dockerfile():
    """[(instruction, rest), …] with continued lines joined."""
    with open(os.path.join(COMPOSE, "Dockerfile"), encoding="utf-8") as file:
        lines = re.sub(r"^#.*\n", "", file.read(), flags=re.M).replace("\\\n", " ").splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def dockerfile_stage(name):
    """Those of one stage."""
    instructions, inside = [], False
    for instruction, rest in dockerfile():
        if instruction == "FROM":
            inside = rest.split()[-1] == name
        elif inside:
            instructions.append((instruction, rest))
    return instructions


def dockerfile_config(name):
    """The settings of the image of this stage, as in an image's config."""
    config = {"Env": [PATH]}
    for instruction, rest in dockerfile_stage(name):
        if instruction in ("USER", "WORKDIR"):
            config["User" if instruction == "USER" else "WorkingDir"] = rest.strip()
        elif instruction in ("ENTRYPOINT", "CMD"):
            config[instruction.capitalize()] = json.loads(rest)
    return config


def file_capabilities():
    """What setcap gives the program in the Dockerfile."""
    words = [word for instruction, rest in dockerfile_stage("meter") if instruction == "RUN" for word in shlex.split(rest)]
    return words[words.index("setcap") + 1]


def _member(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def layer(directory):
    """The bytes of a layer: a tar of the directory, which belongs to root there, with file capabilities."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for where, directories, files in os.walk(directory):
            for name in sorted(directories + files):
                path = os.path.join(where, name)
                entry = _member(archive.gettarinfo(path, os.path.relpath(path, directory)))
                if entry.isreg():
                    with open(path, "rb") as file:
                        if "security.capability" in os.listxattr(path):
                            value = os.getxattr(path, "security.capability")
                            entry.pax_headers["SCHILY.xattr.security.capability"] = value.decode("utf-8", "surrogateescape")
                        archive.addfile(entry, file)
                else:
                    archive.addfile(entry)
    return buffer.getvalue()


def write_archive(path, name, config, *layers):
    """An image of this name, from the bottom layer to the top one."""
    parts, digests = {}, []
    for data in layers:
        digest = hashlib.sha256(data).hexdigest()
        parts[f"{digest}/layer.tar"] = data
        digests.append("sha256:" + digest)
    settings = json.dumps({"architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
                           "os": "linux", "created": "1970-01-01T00:00:00Z", "config": config,
                           "rootfs": {"type": "layers", "diff_ids": digests},
                           "history": [{"created": "1970-01-01T00:00:00Z"} for _ in digests]}).encode()
    settings_name = hashlib.sha256(settings).hexdigest() + ".json"
    parts[settings_name] = settings
    parts["manifest.json"] = json.dumps([{"Config": settings_name, "RepoTags": [name], "Layers": list(parts)[:len(layers)]}]).encode()
    with tarfile.open(path, "w") as archive:
        for part, data in parts.items():
            entry = tarfile.TarInfo(part)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def busybox_layer(directory, root):
    """A layer with a shell and small tools, made in an empty directory of the static busybox of a Debian root."""
    os.makedirs(os.path.join(directory, "bin"))
    for name in ("tmp", "etc", "proc", "sys", "dev"):
        os.mkdir(os.path.join(directory, name))
    busybox = os.path.join(directory, "bin", "busybox")
    shutil.copy(os.path.join(root, "bin/busybox"), busybox)
    for name in subprocess.run([busybox, "--list"], check=True, stdout=subprocess.PIPE, text=True).stdout.split():
        if name != "busybox":
            os.symlink("busybox", os.path.join(directory, "bin", name))
    return layer(directory)


def libraries(program):
    """The files of the libraries that it is linked with, those that it loads by name when it needs them, and theirs."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], check=True, stdout=subprocess.PIPE, text=True).stdout
    known = {}
    for name, path in re.findall(r"(\S+) \(.* => (\S+)", listed):
        known.setdefault(name, path)  # those of this machine's own architecture come first
    with open(program, "rb") as file:
        named = {name.decode() for name in re.findall(rb"lib[a-z]+\.so\.\d+", file.read())}
    found = sorted(known[name] for name in named if name in known)
    linked = subprocess.run(["ldd", program, *found], check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted({*found, *re.findall(r"(/\S+) \(", linked)})


def meter_layer(directory, program):
    """A layer with the program, its libraries, and the file capabilities that the Dockerfile gives it."""
    target = os.path.join(directory, "usr/bin/flowmeter-ebpf")
    os.makedirs(os.path.dirname(target))
    os.mkdir(os.path.join(directory, "output"))
    shutil.copy(program, target)
    subprocess.run(["strip", target], check=True)
    os.chmod(target, 0o755)
    for library in libraries(program):
        inside = os.path.join(directory, library.lstrip("/"))
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        shutil.copy(os.path.realpath(library), inside)
    subprocess.run(["setcap", file_capabilities(), target], check=True)
    return layer(directory)
