"""Builds the image of deploy/Dockerfile into a tar, without docker: python -m tests.deploy.image IMAGE.tar [NAME:TAG].

Each instruction is carried out: RUN in a chroot, COPY as .dockerignore has it. Only FROM differs: the base is this
machine's Python (rootfs.py). `ctr -n k8s.io images import IMAGE.tar` loads it. Root, Debian, a minute or two.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import harness
from tests.deploy import rootfs
from tests.deploy.context import ROOT, in_the_context
from tests.deploy.dockerfile import Instruction, Stage, stages

NAME = f"registry.example.com/zdtest:{harness.__version__}"
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
_OF_THE_NETWORK = ("/etc/resolv.conf", "/etc/hosts")  # lent to a RUN, and not part of the image


@dataclass
class Built:
    """A stage that has been carried out: its files, and what a container of it is started with."""

    root: Path
    env: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    config: dict[str, object] = field(default_factory=dict)


def build(tar: Path, name: str = NAME) -> None:
    """Carry out the Dockerfile and write the last stage as an image."""
    with tempfile.TemporaryDirectory(prefix="zdtest-image-") as scratch:
        home = Path(scratch)
        rootfs.make(home / "base")
        done: dict[str, Built] = {}
        for number, stage in enumerate(stages((ROOT / "deploy" / "Dockerfile").read_text())):
            root = home / f"stage-{number}"
            subprocess.run(["cp", "-a", str(home / "base"), str(root)], check=True)
            built = done[stage.name] = _carry_out(stage, Built(root), done)
        _try(built)
        _save(built, tar, name, home)


def _carry_out(stage: Stage, built: Built, others: dict[str, Built]) -> Built:
    if not stage.base.startswith("python:"):
        raise ValueError(f"FROM {stage.base}: only Python's own image has a stand-in here")
    for step in stage.steps:
        if step.word == "COPY":
            _copy(step, built, others)
        elif step.word == "RUN":
            _run(step, built)
        elif step.word == "ENV":
            built.env |= step.variables
        elif step.word == "USER":
            built.config["User"] = step.rest
        elif step.word == "WORKDIR":
            (built.root / step.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            built.config["WorkingDir"] = step.rest
        else:
            built.config[{"ENTRYPOINT": "Entrypoint", "CMD": "Cmd"}[step.word]] = step.listed
    return built


def _copy(step: Instruction, built: Built, others: dict[str, Built]) -> None:
    source, target = step.operands
    into = built.root / target.lstrip("/")
    if stage := step.flags.get("from"):
        shutil.copytree(others[stage].root / source.lstrip("/"), into, symlinks=True, dirs_exist_ok=True)
        return
    if source != ".":
        raise ValueError(f"COPY {step.rest}: only the whole context is copied here")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(in_the_context, filter(None, listed.split("\0"))):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)


def _run(step: Instruction, built: Built) -> None:
    """Run a command in the stage's own root, with this machine's network and its settings of pip."""
    lent = [Path(name) for name in _OF_THE_NETWORK if Path(name).exists()]
    for path in lent:
        shutil.copy2(path, built.root / path.relative_to("/"))
    settings = {
        key: value for key, value in os.environ.items() if key.startswith("PIP_") or key.endswith("_proxy")
    }
    subprocess.run(
        ["chroot", str(built.root), "/bin/sh", "-ec", step.rest], env={**built.env, **settings}, check=True
    )
    for path in lent:
        (built.root / path.relative_to("/")).unlink()


def _try(built: Built) -> None:
    """Start what a container starts, as its user: a library that the base lacks shows here, and not at night."""
    imports = "import kubernetes, matplotlib.pyplot, obstore, pandas, pyarrow, scipy.stats, uvloop"
    for command in ("zdtest --version", f"python3 -c '{imports}'"):
        subprocess.run(
            ["chroot", f"--userspec={built.config['User']}", str(built.root), "/bin/sh", "-ec", command],
            env=built.env, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip


def _save(built: Built, tar: Path, name: str, home: Path) -> None:
    """Write what `docker save` writes: the layer, its configuration, and a list of both."""
    layer = home / "layer.tar"
    subprocess.run(["tar", "--numeric-owner", "-C", str(built.root), "-cf", str(layer), "."], check=True)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    config = {
        "architecture": machine,
        "os": "linux",
        "config": built.config | {"Env": [f"{key}={value}" for key, value in built.env.items()]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    (home / "config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    (home / "manifest.json").write_text(json.dumps(manifest))
    with tarfile.open(tar, "w") as image:
        for part in ("config.json", "manifest.json", "layer.tar"):
            image.add(home / part, part)


if __name__ == "__main__":
    build(Path(sys.argv[1]), *sys.argv[2:3])
