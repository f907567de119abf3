"""The labelled scenarios on a real Kubernetes, behind a real nginx: recorded, to be scored as the lab's are.

Wants KUBECONFIG and ZDTEST_BED, as the end-to-end tests do. What that cluster cannot do is left out, and UNFIT says
why.
"""

from __future__ import annotations

import copy
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.e2e.real_cluster import Deployed, for_real_cluster

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

PORT = 8200
UNFIT = {
    "A7-health-checks": "the nginx of the test cluster has no health checks",
    "A7-not-registered-yet": "the nginx of the test cluster has no registration",
    "C1-lag-with-a-tail": "the test cluster's lag is the same each time",
    "C3-pinned-connections": "connections through a Service; the test cluster has a balancer",
    "C4-deregistration-delay": "the nginx of the test cluster has no deregistration delay",
    "min-ready-covers-registration": "the nginx of the test cluster has no registration",
    "nginx-retries": (
        "the test cluster's nginx may try the same pod again, so a few GETs are truly lost (4 of 33,585, named B1 and"
        " B2): not clean there"
    ),
    "prestop-sleep": "preStop.sleep came with Kubernetes 1.30",
    "service-drains": "connections through a Service; the test cluster has a balancer",
}
# What a cluster with an ingress-nginx has on record of the way to the pods; the test cluster's own nginx is set up
# from outside.
INGRESS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "web"},
    "spec": {
        "ingressClassName": "nginx",
        "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
    },
}
# nginx takes whole seconds for its timeouts: 2 s instead of 1.3, so more load to fill the queue as far.
FLAGS = {"D2-capacity": ("-c", "110")}
_NO_SHELL = re.compile(r"distroless|scratch|chainguard")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def seconds(text: object) -> float:
    """Read a duration of a scenario's lab part."""
    number, unit = re.fullmatch(r"([\d.]+)(ms|s|m)", str(text)).groups()  # type: ignore[union-attr]  # they are ours
    return float(number) * _SECONDS[unit]


def balancer_options(wanted: dict[str, Any]) -> list[str]:
    """Return what makes the test cluster's nginx behave as the scenario's lab part says: it takes whole seconds for
    its timeouts.
    """
    part = wanted.get("lab") or {}
    options = ["--lag", str(seconds(part.get("lag", "0s")))]
    options += ["--connect-timeout", str(math.ceil(seconds(part.get("connect_timeout", "3s"))))]
    options += ["--read-timeout", str(math.ceil(seconds(part.get("idle_timeout", "60s"))))]
    return options + (["--retry"] if part.get("tries", 1) > 1 else [])


def without_shell(manifest: dict[str, Any]) -> dict[str, Any]:
    """Take the shell away from hooks where the image has none: the test cluster's own image has one."""
    manifest = copy.deepcopy(manifest)
    if manifest["kind"] == "Deployment":
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            hook = ((container.get("lifecycle") or {}).get("preStop") or {}).get("exec")
            if hook and _NO_SHELL.search(container["image"]):
                hook["command"][0] = "/no-such-folder/sh"
    return manifest


def adapted(folder: Path, to: Path) -> Path:
    """Copy a scenario for the test cluster: same load, same workload, manifests by absolute paths."""
    wanted = yaml.safe_load((folder / "zdtest.yaml").read_text())
    to.mkdir(parents=True)
    for name in wanted["manifests"]:
        docs = [without_shell(d) for d in yaml.safe_load_all((folder / name).read_text()) if d]
        (to / Path(name).name).write_text(yaml.safe_dump_all(docs, sort_keys=False))
    wanted["manifests"] = [Path(name).name for name in wanted["manifests"]]
    if (wanted.get("lab") or {}).get("tries", 1) > 1:
        (to / "ingress.yaml").write_text(yaml.safe_dump(INGRESS))
        wanted["manifests"].append("ingress.yaml")
    trigger = str(wanted["rollout"].get("trigger", ""))
    if trigger.startswith("apply "):
        name = trigger.removeprefix("apply ")
        docs = [for_real_cluster(d) for d in yaml.safe_load_all((folder / name).read_text()) if d]
        (to / name).write_text(yaml.safe_dump_all(docs, sort_keys=False))
    wanted.pop("label", None)
    (to / "zdtest.yaml").write_text(yaml.safe_dump(wanted, sort_keys=False))
    return to


def record(
    folder: Path,
    out: Path,
    *options: str,
    port: int = PORT,
    kind: str = "Deployment",
    proxy: str = "nginx",
    lag_s: float | None = None,
    turn: AbstractContextManager[object] | None = None,
) -> Path:
    """Run one scenario on the real cluster, in a namespace of its own; return the run directory.

    The proxy's own access log is left beside it, as `out`/access.log. `lag_s` overrides the scenario's. The load is
    sent within `turn`, so that one run may be set up while another is measured.
    """
    with tempfile.TemporaryDirectory(prefix="zdtest-real-") as scratch:
        scenario = adapted(folder, Path(scratch) / "scenario")
        name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower())
        web = Deployed(str(scenario), f"score-{name[:40]}-{time.monotonic_ns() % 100000}", port, out, kind)
        command = [str(Path(os.environ["ZDTEST_BED"]) / "ingress"), "web", str(port), "-n", web.namespace]
        command += balancer_options(yaml.safe_load((scenario / "zdtest.yaml").read_text()))
        command += [] if lag_s is None else ["--lag", str(lag_s)]
        out.mkdir(parents=True, exist_ok=True)
        command += ["--proxy", proxy, "--access-log", str((out / "access.log").resolve())]
        try:
            web.apply()
            with (out / "balancer.log").open("wb") as log:
                balancer = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log)
            try:
                web.wait_until_it_answers()
                with turn or nullcontext():
                    done = web.zdtest(*FLAGS.get(folder.name, ()), *options)
            finally:
                balancer.terminate()
                balancer.wait(20)
        finally:
            web.delete()
    if done.code not in {0, 1, 3}:
        raise SystemExit(f"{folder.name}: exit {done.code}\n{done.stderr}")
    return done.path
