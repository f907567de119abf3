"""`python -m tests.fidelity [CASE ...]`: run each case on the lab and on a real Kubernetes; writes docs/fidelity.md."""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.from_thread
import yaml

from harness.lab import lab
from harness.model import LabPlan
from tests.contract.api_client import Server
from tests.fidelity.cases import CASES, Case
from tests.fidelity.compare import UNEXPLAINED, Difference, because, same
from tests.fidelity.observe import Observer, Pod, Seen, order

AT_ONCE = 2  # cases; each runs on both clusters at the same time
OLD = ("deleted", "killing", "out", "exited", "gone")
NEW = ("created", "started", "ready", "in")


def on_the_lab(case: Case) -> Seen:
    with tempfile.TemporaryDirectory(prefix="fidelity-") as home:
        file = Path(home) / "all.yaml"
        file.write_text(yaml.safe_dump_all(case.manifests(real=False)), encoding="utf-8")
        seed = Path(home) / "seed.yaml"
        first = Case("seed", "", 1).manifests(real=False)
        seed.write_text(yaml.safe_dump_all(first), encoding="utf-8")
        plan = LabPlan(manifests=(str(seed),), tls=False, lag_ns=0, minor=20)
        with (
            anyio.from_thread.start_blocking_portal() as portal,
            portal.wrap_async_context_manager(lab.running(plan, Path(home) / "lab")) as endpoint,
        ):
            return _observed(Server(endpoint.kubeconfig), case, real=False)


def on_the_real_one(case: Case) -> Seen:
    return _observed(Server(os.environ["KUBECONFIG"]), case, real=True)


def _observed(server: Server, case: Case, *, real: bool) -> Seen:
    """Put a case into a namespace of its own, wait until it is up, watch."""
    server.namespace = f"fidelity-{case.name}-{secrets.token_hex(2)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": server.namespace}}
    server("POST", "/api/v1/namespaces", body).good(201)
    try:
        server.until(server.path("serviceaccounts", "default"), lambda _: True)
        for item in case.manifests(real=real):
            server("POST", server.path(f"{item['kind'].lower()}s"), item).good(201)
        if case.up:
            server.until(
                server.path("deployments", "web"),
                lambda d: any(
                    c["reason"] == "NewReplicaSetAvailable" for c in d["status"].get("conditions", ())
                ),
                90,
            )
            if case.steps:
                time.sleep(3)  # so that what came before is over
        return Observer(server, case).run()
    finally:
        server("DELETE", f"/api/v1/namespaces/{server.namespace}")


def spans(pods: list[Pod], begin: str, end: str) -> str:
    found = [p.at[end] - p.at[begin] for p in pods if begin in p.at and end in p.at]
    return f"{statistics.median(found):.1f} s" if found else "-"


def facts(case: Case, seen: Seen) -> dict[str, str]:
    """What is compared, as text."""
    pods = list(seen.pods.values())
    ended = [p for p in pods if "gone" in p.at]
    made = [p for p in pods if p.at.get("created", 0) > seen.first_step and "ready" in p.at]
    rows = {"order of a pod's end": _common(ended, OLD), "order of a pod's start": _common(made, NEW)}
    codes = sorted(code for p in pods for code in p.codes)
    rows["exit codes"] = ", ".join(f"{c} x{codes.count(c)}" for c in sorted(set(codes))) or "-"
    rows["Events"] = ", ".join(f"{k} {v}" for k, v in sorted(seen.events.items()))
    rows["Deployment"] = ", ".join(sorted(seen.reasons))
    if case.steps:
        rows["most pods, least ready"] = f"{seen.most_pods}, {seen.least_ready if case.up else '-'}"
        rows["created -> started"] = spans(made, "created", "started")
        rows["started -> ready"] = spans(made, "started", "ready")
        rows["deleted -> exited"] = spans(ended, "deleted", "exited")
        rows["deleted -> gone"] = spans(ended, "deleted", "gone")
        rows["rollout"] = f"{seen.done - seen.first_step:.1f} s" if seen.done else "not done"
    for n in (1, 2, 3):
        times = [p.at[f"restart {n}"] - p.at["created"] for p in pods if f"restart {n}" in p.at]
        if times:
            rows[f"restart {n} after"] = f"{times[0]:.1f} s"
    turns = [p.turns for p in pods if p.turns]
    if not case.steps and case.up:
        rows["changes of Ready"] = str(max(turns, default=0))
    return rows


def _common(pods: list[Pod], moments: tuple[str, ...]) -> str:
    found = [order(p, moments) for p in pods]
    return max(set(found), key=found.count) if found else "-"


def main() -> None:
    chosen = [case for case in CASES if not sys.argv[1:] or case.name in sys.argv[1:]]
    with ThreadPoolExecutor(2 * AT_ONCE) as pool, ThreadPoolExecutor(AT_ONCE) as pairs:

        def both(case: Case) -> tuple[Case, Any, Any]:
            real, ours = pool.submit(on_the_real_one, case), pool.submit(on_the_lab, case)
            return case, facts(case, ours.result()), facts(case, real.result())

        results = list(pairs.map(both, chosen))
    version = Server(os.environ["KUBECONFIG"])("GET", "/version").good()["gitVersion"]
    lines, equal, total, open_ = [], 0, 0, 0
    for case, ours, real in results:
        lines += [
            "",
            f"## {case.name}",
            "",
            case.about,
            "",
            f"| | lab | Kubernetes {version} | differs, because |",
            "|---|---|---|---|",
        ]
        for key in real:
            fits = same(case, key, ours.get(key, "-"), real[key])
            equal, total = equal + fits, total + 1
            why = "" if fits else because(Difference(case, key, ours.get(key, "-"), real[key]))
            open_ += why == UNEXPLAINED
            lines.append(f"| {key} | {ours.get(key, '-')} | {real[key]} | {why} |")
    summary = (
        f"{equal} of {total} facts in {len(results)} cases are the same, "
        f"{total - equal - open_} differ for a known reason"
    )
    text = "\n".join([f"{summary}, {open_} unexplained.", *lines])
    page = Path("docs/fidelity.md")
    head = page.read_text(encoding="utf-8").partition("<!-- table -->")[0] if page.exists() else ""
    if sys.argv[1:]:
        print(text)  # noqa: T201  some cases only: for the eye, not for the page
        return
    page.write_text(f"{head}<!-- table -->\n\n{text}\n", encoding="utf-8")
    print(text.splitlines()[0])  # noqa: T201


if __name__ == "__main__":
    main()
