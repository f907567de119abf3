"""A root filesystem that stands for `FROM python:3-slim` where there is no registry: this machine's Python in
/usr/local, and the system's programs that the instructions use, each with its libraries. Debian; root.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

PROGRAMS = (
    "sh", "groupadd", "useradd", "install", "chown", "mkdir", "rm", "ls", "cat", "sleep", "env", "id", "tar", "head",
)  # fmt: skip
# What wheels for manylinux expect of a system, and name resolution.
LIBRARIES = (
    "libpthread.so.0", "libdl.so.2", "libm.so.6", "librt.so.1", "libutil.so.1", "libstdc++.so.6", "libgcc_s.so.1",
    "libz.so.1", "libresolv.so.2", "libnss_dns.so.2", "libnss_files.so.2",
)  # fmt: skip
FILES = (
    "/etc/login.defs", "/etc/nsswitch.conf", "/etc/ssl/certs/ca-certificates.crt", "/etc/ld.so.conf",
    "/etc/default/useradd",
)  # fmt: skip
_NOT_IN_A_SLIM_PYTHON = ("test", "__pycache__", "idlelib", "turtledemo", "*.a", "config-*")


def make(root: Path) -> None:
    """Put it together in an empty folder."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "sys", "etc", "root", "home", "tmp", "run", "var/tmp", "etc/skel"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    os.mknod(root / "dev" / "null", 0o20666, os.makedev(1, 3))
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")
    (root / "etc" / "shadow").write_text("root:*:19000:0:99999:7:::\n")
    for name in FILES:
        if Path(name).exists():
            _copy(Path(name), root)
    shutil.copytree("/etc/ld.so.conf.d", root / "etc" / "ld.so.conf.d")
    _python(root)
    programs = [Path(found) for name in PROGRAMS if (found := shutil.which(name))]
    for program in programs:
        _copy(program, root)
    inside = [*(root / "usr" / "local").rglob("*.so*"), Path(sys.executable).resolve(), *programs]
    for library in _libraries([path for path in inside if not path.is_symlink()]):
        _copy(library, root)
    subprocess.run(["ldconfig", "-r", str(root)], check=True)


def _python(root: Path) -> None:
    """Copy this Python with its pip and no other package."""
    home, local = Path(sys.base_prefix), root / "usr" / "local"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(
        home / "lib" / version, local / "lib" / version, symlinks=True,
        ignore=shutil.ignore_patterns(*_NOT_IN_A_SLIM_PYTHON, "site-packages"),
    )  # fmt: skip
    packages = local / "lib" / version / "site-packages"
    packages.mkdir()
    for found in (home / "lib" / version / "site-packages").glob("pip*"):
        shutil.copytree(found, packages / found.name, ignore=shutil.ignore_patterns("__pycache__"))
    for library in (home / "lib").glob("libpython*.so*"):
        shutil.copy2(library, local / "lib" / library.name, follow_symlinks=False)
    (local / "bin").mkdir(exist_ok=True)
    shutil.copy2(home / "bin" / version, local / "bin" / version)
    for name in ("python3", "python"):
        (local / "bin" / name).symlink_to(version)
    (local / "bin" / "pip").write_text('#!/bin/sh\nexec python3 -m pip "$@"\n')
    (local / "bin" / "pip").chmod(0o755)


def _libraries(files: list[Path]) -> set[Path]:
    """Return all of the system's own that its linker finds for these files."""
    found: set[Path] = set()
    for start in range(0, len(files), 200):
        words = ["ldd", *map(str, files[start : start + 200])]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        found |= {Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", done.stdout, re.MULTILINE)}
    listed = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for name in LIBRARIES:
        if path := re.search(rf"^\s*{re.escape(name)} .*=> (\S+)$", listed, re.MULTILINE):
            found.add(Path(path[1]))
    return {path for path in found if path.parts[1] in {"lib", "lib64"} or path.is_relative_to("/usr/lib")}


def _copy(path: Path, root: Path) -> None:
    """Copy a file to its place, and what it links to under the link's name."""
    at = root / path.relative_to("/")
    at.parent.mkdir(parents=True, exist_ok=True)
    if not at.exists():
        shutil.copy2(path, at)
