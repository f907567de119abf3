"""How the lab starts Python: isolated from the environment, the working directory and the user's site-packages.

`-I` ignores PYTHON* variables, the working directory and the user's site-packages. The rest of the environment is not
passed on either: a loader (LD_PRELOAD), a library (OPENSSL_CONF) or a browser (BROWSER) may run what a variable names.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parents[2])  # where this package is

_RUN = (
    "import json, runpy, sys; "
    "first, *others = json.loads(sys.argv.pop(1)); "
    "sys.path[:] = [first, *sys.path, *(p for p in others if p not in sys.path)]; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_of_ours(name: str, *words: str) -> list[str]:
    """Return the command that runs a module of this package, with this process's import path.

    Dependencies may be where only our PYTHONPATH or the user's site-packages leads; the working directory is left out.
    """
    here = str(Path.cwd())
    others = [path for path in sys.path if Path(path).is_absolute() and path != here]
    return [sys.executable, "-I", "-c", _RUN, json.dumps([PACKAGE, *others]), name, *words]


def lone_file(file: Path) -> list[str]:
    """Return the command that runs a file that needs only the standard library, with unbuffered output."""
    return [sys.executable, "-I", "-u", str(file)]


def variables(*more: str) -> dict[str, str]:
    """Return the environment of a process: `more` from ours, and what Python itself needs to start."""
    kept = {name: os.environ[name] for name in more if name in os.environ}
    library = sysconfig.get_config_var("INSTSONAME")
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    # A Python built as a shared library may need it to find that library.
    if found := next((f for f in folders if f and library and (Path(f) / library).is_file()), None):
        kept["LD_LIBRARY_PATH"] = found
    return kept
