"""How the lab starts Python: with nothing in it of an environment, a working folder or a user's site.

`-I` ignores PYTHON* variables, the working folder and the user's site. The rest of the environment is not handed down
at all, for a loader (LD_PRELOAD), a library (OPENSSL_CONF) or a browser (BROWSER) may run what a variable names.
"""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parents[2])  # where this very package lies

_RUN = (
    "import json, runpy, sys; "
    "first, *others = json.loads(sys.argv.pop(1)); "
    "sys.path[:] = [first, *sys.path, *(p for p in others if p not in sys.path)]; "
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def module_of_ours(name: str, *words: str) -> list[str]:
    """Return the command that runs a module of this package, which finds what this process would find.

    What it depends on may lie where only our own PYTHONPATH or the user's site leads, but never in the working folder.
    """
    here = str(Path.cwd())
    others = [path for path in sys.path if Path(path).is_absolute() and path != here]
    return [sys.executable, "-I", "-c", _RUN, json.dumps([PACKAGE, *others]), name, *words]


def lone_file(file: Path) -> list[str]:
    """Return the command that runs a file which needs nothing but the standard library. Its output is not buffered."""
    return [sys.executable, "-I", "-u", str(file)]


def variables(*more: str) -> dict[str, str]:
    """Return what of our environment a process gets: `more`, and what Python itself cannot start without."""
    kept = {name: os.environ[name] for name in more if name in os.environ}
    library = sysconfig.get_config_var("INSTSONAME")
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    # A Python that was built as a shared library may be found this way alone.
    if found := next((f for f in folders if f and library and (Path(f) / library).is_file()), None):
        kept["LD_LIBRARY_PATH"] = found
    return kept
