"""An hour of `zdtest watch` on a real cluster: three services, thirty deploys, and what goes wrong in an hour.

    KUBECONFIG=… ZDTEST_BED=… python -m tests.bench.watch_soak --minutes 60 --deploys 30 --home /tmp/soak

The watch reaches the API server through a small proxy, so that its connection can be cut without anybody else's. On
the way: a cut of ten seconds, a deploy while the connection is cut, a deploy upon a deploy, a deploy while no watch
runs, and a watch that is killed while it records. At the end every deploy must be in a recording, or be called missed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from harness.scenario.resolve import shipped
from harness.watch.shown.board import rows
from harness.watch.state import load
from tests.e2e.real_cluster import for_real_cluster, kubectl
from tests.fastlab import fast_lab, web

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICES = {"clean": "clean/prestop", "bare": "seed/1-no-probe", "ready": "seed/2-readiness"}
_BED = Path(os.environ.get("ZDTEST_BED", "/nowhere")) / "ingress"


class Proxy:
    """Passes bytes to the API server; while `cut`, it ends every connection and takes none."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._cut = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, on: bool) -> None:  # noqa: FBT001
        self._cut = on
        for one in list(self._open) if on else ():
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._cut:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._to) as server:
            self._open |= {client, server}
            try:
                while True:
                    for ready in select.select([client, server], [], [])[0]:
                        data = ready.recv(1 << 16)
                        if not data:
                            return
                        (server if ready is client else client).sendall(data)
            finally:
                self._open -= {client, server}


@dataclass
class Made:
    """A deploy that was made, and what became of it."""

    service: str
    how: str
    at_s: float
    during: str = ""  # what else went on
    recording: str = ""
    verdict: str = ""
    lost: int | None = None
    hidden_s: float | None = None
    late_s: float | None = None  # from the command to the first sign that was recorded


@dataclass
class Soak:
    namespace: str
    home: Path
    proxy: Proxy
    config: Path  # a kubeconfig that leads through the proxy
    first_port: int
    made: list[Made] = field(default_factory=list)
    memory: list[dict[str, float]] = field(default_factory=list)
    watch: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def out(self) -> Path:
        return self.home / "recordings"

    def start(self) -> None:
        words = [
            sys.executable, "-m", "harness", "watch", "-f", str(self.home / "watch.yaml"), "-n", self.namespace,
            "--kubeconfig", str(self.config), "-o", str(self.out), "--keep", "100", "--rate", "2/s", "--boost", "10/s",
            "--listen", f"127.0.0.1:{self.first_port + 9}",
        ]  # fmt: skip
        with (self.home / "watch.log").open("ab") as log:
            self.watch = subprocess.Popen(words, stdout=log, stderr=log)
        self.starts += 1

    def end(self, how: signal.Signals) -> None:
        assert self.watch
        self.watch.send_signal(how)
        self.watch.wait(90)

    def deploy(self, service: str, how: str, during: str = "") -> None:
        name = f"deployment/web-{service}"
        number = str(len(self.made))
        words = {
            "restart": ["rollout", "restart", name],
            "set env": ["set", "env", name, f"ROUND={number}"],
            "undo": ["rollout", "undo", name],
            "patch": ["patch", name, "--type=merge", "-p", _labels(number)],
        }[how]
        made = Made(service, how, time.time(), during)
        while not _done("-n", self.namespace, *words):  # the API server may be away: nobody deploys then
            self.until(time.time() + 5)
            made.at_s = time.time()
        self.made.append(made)
        tell(f"{datetime.now(UTC):%H:%M:%S} {number}: {how} of {name} {during}")

    def measure(self) -> None:
        assert self.watch
        children = _children(self.watch.pid)
        lanes = [pid for pid in children if "harness.load.lanes" in _command(pid)]
        self.memory.append(
            {
                "t_s": round(time.time()),
                "watch_pss_mib": _pss(self.watch.pid),
                "load_pss_mib": sum(map(_pss, lanes)),
                "open_files": float(sum(1 for _ in Path(f"/proc/{self.watch.pid}/fd").iterdir())),
            }
        )

    def until(self, when_s: float) -> None:
        while time.time() < when_s:
            with contextlib.suppress(OSError):
                self.measure()
            time.sleep(max(0.0, min(10.0, when_s - time.time())))


def _done(*words: str) -> bool:
    done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        tell(f"{datetime.now(UTC):%H:%M:%S} kubectl: {done.stderr.strip()}")
    return not done.returncode


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _labels(number: str) -> str:
    return json.dumps({"spec": {"template": {"metadata": {"labels": {"round": number}}}}})


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def _pss(pid: int) -> float:
    """Return what a process has in memory, its share of what it shares with others: MiB."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return round(int(found[1]) / 1024, 1) if found else 0.0


@contextlib.contextmanager
def services(soak: Soak) -> Iterator[None]:
    """Three services in one namespace, each with a balancer of its own, and the watch file."""
    kubectl("create", "namespace", soak.namespace)
    balancers = []
    listed = []
    try:
        for at, (name, scenario) in enumerate(SERVICES.items()):
            port = soak.first_port + at
            folder = shipped() / scenario
            files = yaml.safe_load((folder / "zdtest.yaml").read_text())["manifests"]
            docs = [doc for file in files for doc in yaml.safe_load_all((folder / file).read_text()) if doc]
            text = yaml.safe_dump_all(_named(for_real_cluster(doc), name) for doc in docs)
            kubectl("-n", soak.namespace, "apply", "-f", "-", stdin=text)
            with (soak.home / f"balancer-{name}.log").open("wb") as log:
                words = [sys.executable, str(_BED), f"web-{name}", str(port), "--namespace", soak.namespace]
                balancers.append(subprocess.Popen(words, stdout=log, stderr=log))
            listed.append({"workload": f"deployment/web-{name}", "url": f"http://127.0.0.1:{port}/"})
        for name in SERVICES:
            kubectl("-n", soak.namespace, "rollout", "status", f"deployment/web-{name}", "--timeout=120s")
        # The balancer's Service cannot be proven from the URL; its answers name the pods.
        whole = {"defaults": {"rollout": {"settle": "10s"}}, "services": listed}
        (soak.home / "watch.yaml").write_text(yaml.safe_dump(whole))
        yield
    finally:
        for balancer in balancers:
            balancer.terminate()
        for balancer in balancers:
            balancer.wait(20)
        _done("delete", "namespace", soak.namespace, "--wait=false")


@contextlib.contextmanager
def lab_services(soak: Soak, url: str) -> Iterator[None]:
    """Three Deployments on a lab that is up. Its one balancer leads to a fourth, which nobody deploys."""
    docs = [_named(doc, name) for name in SERVICES for doc in web()]
    kubectl("-n", soak.namespace, "apply", "-f", "-", stdin=yaml.safe_dump_all(docs))
    for name in SERVICES:
        kubectl("-n", soak.namespace, "rollout", "status", f"deployment/web-{name}", "--timeout=120s")
    listed = [{"workload": f"deployment/web-{name}", "url": url} for name in SERVICES]
    whole = {"defaults": {"path_proven": True, "rollout": {"settle": "10s"}}, "services": listed}
    (soak.home / "watch.yaml").write_text(yaml.safe_dump(whole))
    yield


def _named(doc: dict[str, Any], name: str) -> dict[str, Any]:
    """Give a Deployment and its Service a name of their own."""
    if doc["kind"] == "Deployment":
        doc["metadata"]["name"] = f"web-{name}"
        doc["spec"]["replicas"] = 2
        doc["spec"]["selector"]["matchLabels"]["app"] = f"web-{name}"
        doc["spec"]["template"]["metadata"]["labels"]["app"] = f"web-{name}"
    if doc["kind"] == "Service":
        doc["metadata"]["name"] = doc["spec"]["selector"]["app"] = f"web-{name}"
    return doc


def carry_out(soak: Soak, minutes: float, deploys: int) -> None:
    """Make the deploys, evenly spread, and what goes wrong among them."""
    soak.start()
    soak.until(time.time() + 30)
    begun = time.time()
    every = (minutes * 60 - 30) / deploys
    hows = ["restart", "set env", "patch", "restart", "undo"]
    cut, cut_deploy, twice, away, killed = (round(deploys * part) for part in (0.25, 0.4, 0.55, 0.7, 0.85))
    number = 0
    while len(soak.made) < deploys:
        soak.until(begun + number * every)
        service = list(SERVICES)[number % len(SERVICES)]
        how = hows[number % len(hows)]
        if number == cut:
            soak.proxy.cut(True)
            time.sleep(10)
            soak.proxy.cut(False)
            time.sleep(5)
        if number == cut_deploy:
            soak.proxy.cut(True)
            time.sleep(2)
            soak.deploy(service, how, "while the connection was cut")
            time.sleep(8)
            soak.proxy.cut(False)
        elif number == twice:
            soak.deploy(service, "restart")
            time.sleep(4)
            soak.deploy(service, "set env", "upon the one before")
        elif number == away:
            soak.end(signal.SIGTERM)
            soak.deploy(service, how, "while no watch ran")
            time.sleep(30)
            soak.start()
        elif number == killed:
            soak.deploy(service, how, "the watch was killed while it recorded")
            time.sleep(6)
            soak.end(signal.SIGKILL)
            time.sleep(20)
            soak.start()
        else:
            soak.deploy(service, how)
        number += 1
    soak.until(time.time() + 60)
    soak.end(signal.SIGTERM)


def compare(soak: Soak) -> dict[str, Any]:
    """Hold what was made against what is on record."""
    board, state = rows(soak.out), load(soak.out)
    for made in soak.made:
        for one in board.get(f"deployment/web-{made.service}", ()):
            record = json.loads((soak.out / one.folder / "run.json").read_text())
            marks = {mark["mark"]: record["wall_ns"] / 1e9 + mark["t_ns"] / 1e9 for mark in record["marks"]}
            last_s = marks.get("settled", marks.get("load_end", marks["trigger"] + 20))
            # Its own, or that of the deploy upon which it came.
            if marks["trigger"] - 5 <= made.at_s + 5 and made.at_s <= last_s:
                made.recording, made.verdict, made.lost = one.folder, one.grade, one.lost
                made.hidden_s = None if one.hidden_ns is None else round(one.hidden_ns / 1e9, 2)
                made.late_s = round(marks["trigger"] - made.at_s, 2)
                break
    unseen = [made for made in soak.made if not made.recording]
    said = sum(one.count for one in state.missed)
    quarter = max(1, len(soak.memory) // 4)

    def mean(name: str, part: list[dict[str, float]]) -> float:
        return round(sum(one[name] for one in part) / len(part), 1)

    return {
        "minutes": round((soak.memory[-1]["t_s"] - soak.memory[0]["t_s"]) / 60, 1),
        "deploys": len(soak.made),
        "recorded": len(soak.made) - len(unseen),
        "recordings": sum(map(len, board.values())),
        "said_missed": said,
        "neither": [asdict(made) for made in unseen if made.during != "while no watch ran"],
        "watch_starts": soak.starts,
        "memory_mib": {
            name: {
                "first_quarter": mean(name, soak.memory[:quarter]),
                "last_quarter": mean(name, soak.memory[-quarter:]),
                "most": max(one[name] for one in soak.memory),
            }
            for name in ("watch_pss_mib", "load_pss_mib", "open_files")
        },
        "each": [asdict(made) for made in soak.made],
    }  # fmt: skip


def main() -> int:
    """Read the command line, and soak."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--minutes", type=float, default=60)
    words.add_argument("--deploys", type=int, default=30)
    words.add_argument("--namespace", default="watch")
    words.add_argument("--port", type=int, default=18401, help="of the first balancer")
    words.add_argument("--home", type=Path, required=True, help="a new folder for everything that is left")
    words.add_argument("--write", type=Path, help="where the numbers go, as JSON")
    words.add_argument(
        "--lab", action="store_true", help="on the embedded lab: no real balancer, nothing is lost"
    )
    given = words.parse_args()
    given.home.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        url = ""
        if given.lab:
            lab = stack.enter_context(fast_lab(given.home / "lab"))
            os.environ["KUBECONFIG"], url, given.namespace = lab.kubeconfig, lab.url, "default"
        return soaked(given, url)


def soaked(given: argparse.Namespace, url: str) -> int:
    raw = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    server = urlsplit(raw["clusters"][0]["cluster"]["server"])
    proxy = Proxy(server.hostname or "", server.port or 443)
    raw["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{proxy.port}"
    config = given.home / "kubeconfig"
    config.touch(0o600)
    config.write_text(yaml.safe_dump(raw))
    soak = Soak(given.namespace, given.home, proxy, config, given.port)
    with lab_services(soak, url) if given.lab else services(soak):
        try:
            carry_out(soak, given.minutes, given.deploys)
        finally:
            if soak.watch and soak.watch.poll() is None:
                soak.end(signal.SIGTERM)
            told = compare(soak)
            tell(json.dumps(told, indent=1))
            if given.write:
                known = json.loads(given.write.read_text()) if given.write.exists() else {}
                known["lab" if given.lab else "real"] = told
                given.write.write_text(json.dumps(known, indent=1) + "\n")
    return 1 if told["neither"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
