"""The load generator held to its bounds: python -m tests.bench.load_bench [PART ...] [--json FILE] [--write
docs/bench.md]

Each part is measured on loopback, and its table printed; the JSON keeps the newest of each part, so that parts may be
measured one at a time, and the document is written from it. Ends with 1 when a bound was missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trustme

from tests.bench import load_parts
from tests.bench.load_parts import Line, table
from tests.bench.wire import http2, open_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"  # what is written over, in the document
PARTS: dict[str, tuple[str, float, Callable[[Path, str, float, int], list[Line]]]] = {
    "rivals": (
        "Against wrk and hey: one nginx, 200 connections, medians of the rounds",
        5,
        load_parts.rivals,
    ),
    "http2": (
        "HTTP/2 against h2load: one nginx, TLS, 50 connections, medians of the rounds",
        5,
        http2.rivals,
    ),
    "rate": ("The open loop, 200 connections, plain HTTP to one nginx", 5, open_loop.costs),
    "seed": ("The seed's load: 200 connections, a server that takes 40 ms, one worker", 10, load_parts.seed),
    "exact": ("Accuracy: a server that takes exactly 20 ms, 20 connections", 10, load_parts.exact),
    "workers": (
        "Two workers beside one, 200 connections",
        6,
        load_parts.two_workers,
    ),
    "begin": ("The command line", 1, load_parts.begin),
    "memory": ("Memory of a worker at 20,000 requests/s", 120, load_parts.memory),
}


def main() -> int:
    """Measure, print, keep."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}  [all]")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--seconds", type=float, help="of each load; the memory part wants 600 for its bound"
    )
    options.add_argument("--json", type=Path)
    options.add_argument("--write", type=Path, metavar="DOCUMENT")
    asked = options.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        options.error(f"no such part: {', '.join(sorted(unknown))}")
    kept: dict[str, Any] = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else {}
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker is somebody else
        certificate = folder / "certificate.pem"
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        for part in asked.parts or PARTS:
            if part in {"rivals", "http2", "rate", "workers", "memory"} and not shutil.which("nginx"):
                say(f"{part}: left out, as there is no nginx")
                continue
            title, seconds, measure = PARTS[part]
            began = time.monotonic(), used_s(), busy_s()
            lines = measure(folder, str(certificate), asked.seconds or seconds, asked.rounds)
            others = (busy_s() - began[2] - used_s() + began[1]) / (time.monotonic() - began[0])
            say("\n".join(["", *table(title, lines)]))
            missed += [f"{part}: {line.what}" for line in lines if not line.holds]
            say(f"(others on this machine used {others:.2f} of its {os.cpu_count()} cores meanwhile)")
            kept[part] = {
                "on": machine(),
                "others": round(others, 2),
                "lines": [dataclasses.asdict(line) for line in lines],
            }
            if asked.json:
                asked.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if asked.write:
        write(asked.write, kept)
    say("\n" + ("missed: " + "; ".join(missed) if missed else "every bound is kept"))
    return int(bool(missed))


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
    """Put the tables of all that is kept between the marks of the document."""
    rows = []
    for part, (title, _, _) in PARTS.items():
        if part in kept:
            rows += [
                *table(title, [Line(**line) for line in kept[part]["lines"]]),
                "",
                f"({kept[part]['on']}; others used {kept[part]['others']:.2f} cores of it)",
                "",
            ]
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n" + "\n".join(rows) + f"\n{END}{after}", encoding="utf-8")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
