"""The load generator held to its bounds: python -m tests.bench.load_bench [PART ...] [--json FILE] [--write
docs/bench.md]

Each part is measured on loopback, and its table printed; the JSON keeps the newest of each part, so that parts may be
measured one at a time, and the document and its pictures are made from it. What was measured is compared with the last
committed numbers. Ends with 1 when a bound was missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import trustme

from tests.bench import load_parts
from tests.bench.figures import Line, table, worse, yardstick_us
from tests.bench.wire import curves, http2, open_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"  # what is written over, in the document


class Part(NamedTuple):
    """What is measured together: for how long each load lasts, and for curves, what is along the axis."""

    title: str
    seconds: float
    measure: Callable[[Path, str, float, int], list[Line]]
    across: str = ""


PARTS = {
    "rivals": Part(
        "Against wrk and hey: one nginx, 200 connections, medians of the rounds", 5, load_parts.rivals
    ),
    "http2": Part(
        "HTTP/2 against h2load: one nginx, TLS, 50 connections, medians of the rounds", 5, http2.rivals
    ),
    "rate": Part("The open loop, 200 connections, plain HTTP to one nginx", 5, open_loop.costs),
    "seed": Part(
        "The seed's load: 200 connections, a server that takes 40 ms, one worker", 10, load_parts.seed
    ),
    "exact": Part("Accuracy: a server that takes exactly 20 ms, 20 connections", 10, load_parts.exact),
    "workers": Part("Two workers beside one, 200 connections", 6, load_parts.two_workers),
    "by-connections": Part(
        "By the number of connections, as fast as it goes", 3, curves.by_connections, "connections"
    ),
    "by-body": Part(
        "By the size of the answer, 50 connections", 3, curves.by_body, "bytes in the answer's body"
    ),
    "by-rate": Part("By the rate, 200 connections", 3, curves.by_rate, "requests per second"),
    "by-workers": Part(
        "By the number of workers, 200 connections, as fast as it goes",
        3,
        curves.by_workers,
        "workers, or threads",
    ),
    "begin": Part("The command line", 1, load_parts.begin),
    "memory": Part("Memory of a worker at 20,000 requests/s", 120, load_parts.memory),
}
_NEED_NO_NGINX = {"seed", "exact", "begin"}


def main() -> int:
    """Measure, print, keep, compare."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}  [all]")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--seconds", type=float, help="of each load; the memory part wants 600 for its bound"
    )
    options.add_argument("--json", type=Path)
    options.add_argument(
        "--write", type=Path, metavar="DOCUMENT", help="and pictures, into pictures/ beside it"
    )
    asked = options.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        options.error(f"no such part: {', '.join(sorted(unknown))}")
    kept: dict[str, Any] = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else {}
    committed = last_committed(asked.json) if asked.json else {}
    missed: list[str] = []
    measured: dict[str, Any] = {}
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (hard, hard)
    )  # ten thousand connections, of a rival and of nginx
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is somebody else
        certificate = folder / "certificate.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        for part in asked.parts or PARTS:
            if part not in _NEED_NO_NGINX and not shutil.which("nginx"):
                say(f"{part}: left out, as there is no nginx")
                continue
            speed = yardstick_us()
            began = time.monotonic(), used_s(), busy_s()
            lines = PARTS[part].measure(
                folder, str(certificate), asked.seconds or PARTS[part].seconds, asked.rounds
            )
            others = (busy_s() - began[2] - used_s() + began[1]) / (time.monotonic() - began[0])
            say("\n".join(["", *table(PARTS[part].title, lines)]))
            missed += [f"{part}: {line.what}" for line in lines if not line.holds]
            say(f"(others on this machine used {others:.2f} of its {os.cpu_count()} cores meanwhile)")
            kept[part] = measured[part] = {
                "on": machine(),
                "others": round(others, 2),
                "yardstick_us": round((speed + yardstick_us()) / 2, 3),
                "lines": [told(line) for line in lines],
            }
            if asked.json:
                asked.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if asked.write:
        write(asked.write, kept)
    for text in worse(committed, measured):
        say(f"worse than the last committed numbers: {text}")
    say("\n" + ("missed: " + "; ".join(missed) if missed else "every bound is kept"))
    return int(bool(missed))


def told(line: Line) -> dict[str, Any]:
    """Return a line as the JSON has it, without what is not said of it."""
    words = dataclasses.asdict(line)
    if line.rounds:
        words["rounds"] = [float(f"{value:.4g}") for value in line.rounds]
    return {name: value for name, value in words.items() if value not in ("", None, ())}


def last_committed(file: Path) -> dict[str, Any]:
    """Return what this file was in the last commit; {} if it was not in it."""
    shown = subprocess.run(
        ["git", "show", f"HEAD:./{file.name}"],
        cwd=file.absolute().parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(shown.stdout) if shown.returncode == 0 else {}
    return found


def used_s() -> float:
    """Return the processor time that we, and what we have started and seen end, have used."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def busy_s() -> float:
    """Return the processor time that anybody has used on this machine."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def machine() -> str:
    """Say when and on what: the numbers mean nothing without."""
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, Linux"
        f" {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def write(document: Path, kept: Mapping[str, Any]) -> None:
    """Put the tables and pictures of all that is kept between the marks of the document."""
    from tests.bench.wire import pictures

    for name, part in PARTS.items():
        if part.across and name in kept:
            lines = [Line(**line) for line in kept[name]["lines"]]
            (document.parent / _picture(name)).write_bytes(pictures.drawn(part.across, lines))
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{tables(kept)}\n{END}{after}", encoding="utf-8")


def tables(kept: Mapping[str, Any]) -> str:
    """Return the tables of all that is kept, in Markdown, and where their pictures are."""
    rows = []
    for name, part in PARTS.items():
        if name not in kept:
            continue
        said = table(part.title, [Line(**line) for line in kept[name]["lines"]])
        if part.across:
            said[2:2] = [f"![{part.title}: the CPU cost of a request]({_picture(name)})", ""]
        rows += [*said, "", f"({kept[name]['on']}; others used {kept[name]['others']:.2f} cores of it)", ""]
    return "\n".join(rows)


def _picture(name: str) -> str:
    return f"pictures/bench-{name}.svg"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
