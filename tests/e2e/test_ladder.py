"""The main job on a real Kubernetes: first and last step of the ladder, GET and POST."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from harness.model import Mark
from tests.e2e.real_cluster import kubectl

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.recording.read import Recording
    from tests.e2e.real_cluster import Deployed


def moments(recording: Recording) -> dict[str, list[str]]:
    """Each old pod's changes, in the order in which they came: ready, out of the endpoints, deleted, gone."""
    old = {ref.uid: ref.name for ref in recording.run.rollout.old_pods} if recording.run.rollout else {}
    seen: dict[str, list[str]] = {name: [] for name in old.values()}
    inside: set[str] = set()
    for event in recording.events():
        if event.kind == "Pod" and event.uid in old:
            steps = seen[old[event.uid]]
            ready = any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in event.object["status"].get("conditions", [])
            )
            if ready and "ready" not in steps:
                steps.append("ready")
            if event.object["metadata"].get("deletionTimestamp") and "deleted" not in steps:
                steps.append("deleted")
            if event.change == "DELETED":
                steps.append("gone")
        if event.kind == "EndpointSlice":
            now = {
                e["targetRef"].get("uid") for e in event.object["endpoints"] if e["conditions"].get("ready")
            }
            for uid in (inside - now) & old.keys():
                seen[old[uid]].append("out of endpoints")
            inside = now
    return seen


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_probe_the_rollout_loses_requests_and_the_run_says_so(
    without_a_probe: Deployed, method: str
) -> None:
    web = without_a_probe
    body = ["--body", "hello"] if method == "POST" else []
    run = web.zdtest(
        "--method", method, *body, "-c", "50", "-d", "20s", "--trigger-after", "6s", "--settle", "5s"
    )
    assert run.code == 1, run.stderr + run.stdout
    assert run.stdout.rstrip().splitlines()[-1].startswith("FAIL")

    recording = run.recording
    hits = recording.hits()
    lost = hits[hits["status"] == 502]
    trigger, end = recording.run.mark(Mark.TRIGGER), recording.run.mark(Mark.LOAD_END)
    assert len(lost) > 10
    assert lost["done_ns"].between(trigger, end).all()
    assert recording.run.mark(Mark.ENDPOINTS_SETTLED) > trigger
    assert recording.run.path
    assert recording.run.path.proven is (
        method == "GET"
    )  # a POST is not sent to try: the load's own answers prove it
    assert re.search(r"^  ok +the target is proven to lead to the workload: ", run.stdout, re.MULTILINE)
    lives = moments(recording)
    assert len(lives) == 3
    for steps in lives.values():
        assert steps[0] == "ready"
        assert steps[-1] == "gone"
        assert {"deleted", "out of endpoints"} <= set(steps)
    assert (run.path / "timeline.png").stat().st_size > 10_000
    assert len((run.path / "summary.md").read_text().splitlines()) <= 15


def test_with_probe_prestop_and_grace_not_one_request_is_lost(deployed: Callable[..., Deployed]) -> None:
    # a slow request takes 4.5 s; a busy machine needs room above that before the balancer calls it a 504
    web = deployed("seed/4-grace", "--read-timeout", "15")
    run = web.zdtest("-c", "50", "-d", "20s", "--trigger-after", "6s", "--settle", "5s")
    assert run.code == 0, run.stderr + run.stdout
    assert run.stdout.rstrip().splitlines()[-1].startswith("PASS")
    hits = run.recording.hits()
    assert (hits["status"] == 200).sum() > 1000
    rollout = run.recording.run.rollout
    assert rollout
    assert set(hits["pod"].unique()) >= {ref.name for ref in rollout.old_pods}


def test_a_dry_run_changes_nothing_on_the_cluster(without_a_probe: Deployed) -> None:
    web = without_a_probe
    before = kubectl("-n", web.namespace, "get", "deployment", "web", "-o", "jsonpath={.metadata.generation}")
    run = web.zdtest("--dry-run", "-c", "10", "-d", "6s", "--trigger-after", "3s")
    assert run.code == 0, run.stderr
    assert (
        kubectl("-n", web.namespace, "get", "deployment", "web", "-o", "jsonpath={.metadata.generation}")
        == before
    )
    assert run.recording.run.mark(Mark.TRIGGER) == -1


def test_what_cannot_be_rolled_out_is_refused_in_one_line_and_left_alone(
    without_a_probe: Deployed,
) -> None:
    web = without_a_probe
    for options, words in (
        (["--deployment", "nope"], ["nope", "web"]),
        (["-n", "no-such-namespace"], ["no-such-namespace"]),
        (["--context", "no-such-context"], ["no-such-context", "realk8s"]),
        (["--allow", "realk8s/other/web"], ["--allow"]),
    ):
        run = web.zdtest("-d", "5s", *options, loads=False)
        assert run.code == 2, (options, run.stdout, run.stderr)
        last = run.stderr.rstrip().splitlines()[-1]
        assert all(word in last for word in words), last
        assert not run.path.exists() or not list(run.path.glob("*")), "a refused run leaves nothing"
    kubectl("-n", web.namespace, "rollout", "pause", "deployment/web")
    run = web.zdtest("-d", "5s", loads=False)
    kubectl("-n", web.namespace, "rollout", "resume", "deployment/web")
    assert run.code == 2
    assert "paused" in run.stderr
    assert "rollout resume" in run.stderr
