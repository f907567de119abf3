"""Rollouts that a pipeline makes, observed on the lab: real runs of the command, with an API client as the pipeline."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import anyio
import pytest

from harness.clock import NS, Clock
from harness.cluster.client.api import Api
from harness.cluster.client.resources import PODS, REPLICASETS, WORKLOADS
from harness.cluster.permission.lock import ANNOTATION
from harness.cluster.trigger import restart_patch, was_made
from harness.model import Mark
from harness.recording.read import Recording
from harness.run.change.persisting import Sent, send
from harness.scenario.trigger import parse
from tests.fastlab import READY, fast_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.model import RunRecord
    from harness.run.change.tools import Tools

REVISION = "deployment.kubernetes.io/revision"
NEVER_READY = {"httpGet": {"path": "/ready", "port": 9}, "periodSeconds": 1}


@dataclass(frozen=True)
class Pipeline:
    """Somebody else, who changes web."""

    api: Api
    url: str
    kubeconfig: str

    def release(self, version: str, probe: dict[str, Any] | None = None) -> None:
        container = {"name": "web", "readinessProbe": probe or READY}
        template = {"metadata": {"annotations": {"version": version}}, "spec": {"containers": [container]}}
        self._patch({"spec": {"template": template}})

    def scale(self, replicas: int) -> None:
        self._patch({"spec": {"replicas": replicas}})

    def take_back(self) -> None:
        container = {"name": "web", "readinessProbe": READY}
        template = {"metadata": {"annotations": {"version": None}}, "spec": {"containers": [container]}}
        self._patch({"spec": {"template": template}})

    def delete(self) -> None:
        self.kubectl("delete", "deployment/web", "--wait=false")

    def kubectl(self, *words: str) -> None:
        command = ["kubectl", "--kubeconfig", self.kubeconfig, "-n", "default", *words]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def newest_pods(self) -> list[str]:
        """The names of the pods of the newest ReplicaSet."""
        sets = self.api.list_all(REPLICASETS, "default")["items"]
        newest = max(sets, key=lambda one: int(one["metadata"]["annotations"][REVISION]))
        owner = newest["metadata"]["uid"]
        pods = self.api.list_all(PODS, "default")["items"]
        refs = [(pod["metadata"]["name"], pod["metadata"].get("ownerReferences") or []) for pod in pods]
        return sorted(name for name, owners in refs if any(one["uid"] == owner for one in owners))

    def _patch(self, patch: dict[str, Any]) -> None:
        self.api.patch("Deployment", "default", "web", patch, field_manager="pipeline")

    def rolled_out(self) -> bool:
        web = self.api.get(WORKLOADS["Deployment"], "default", "web")
        spec, status = web["spec"], web["status"]
        names = ("replicas", "updatedReplicas", "availableReplicas")
        observed = status.get("observedGeneration") == web["metadata"]["generation"]
        return observed and all(status.get(name) == spec["replicas"] for name in names)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    with fast_lab(tmp_path / "lab") as lab:
        yield Pipeline(Api.connect(lab.kubeconfig, None), lab.url, lab.kubeconfig)


@dataclass(frozen=True)
class Seen:
    code: int
    summary: str
    path: Path
    record: RunRecord

    @property
    def state(self) -> str:
        assert self.record.rollout
        return self.record.rollout.state


BEGUN = ("waiting for somebody", "running ", "delete-pod:", "restarted ")


def seen(
    out: Path,
    pipeline: Pipeline,
    trigger: str,
    then: Callable[[], None],
    *words: str,
    at: str | tuple[str, ...] = BEGUN,
) -> Seen:
    """A run with this trigger; `then` is done once it waits for the change, or says what begins with `at`."""
    command = [
        sys.executable, "-m", "harness", "run", pipeline.url, "-o", str(out), "--kubeconfig", pipeline.kubeconfig,
        "--context", pipeline.api.context, "-n", "default", "--deployment", "web", "--trigger", trigger,
        "-c", "4", "-d", "4s", "--trigger-after", "1s", "--settle", "3s", "--max-time", "90s", *words,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if line.partition("  ")[2].startswith(at):  # after the time
                break
        then()
        summary, progress = process.communicate(timeout=120)
    (path,) = out.glob("*")
    assert "Traceback" not in progress
    return Seen(process.returncode, summary, path, Recording.open(path).run)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_someone_else_s_release_is_followed_to_its_end(pipeline: Pipeline, tmp_path: Path) -> None:
    run = seen(tmp_path / "out", pipeline, "observe", lambda: pipeline.release("b"))
    assert (run.code, run.state) == (0, "complete"), run.summary
    assert run.record.rollout
    assert len(run.record.rollout.old_pods) == 2


def test_a_release_that_never_gets_ready_and_is_rolled_back_does_not_pass(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    def forth_and_back() -> None:
        pipeline.release("b", NEVER_READY)
        time.sleep(2)
        web = pipeline.api.get(WORKLOADS["Deployment"], "default", "web")
        assert web["status"]["updatedReplicas"] == 1, "a pod of the new version is there"
        pipeline.take_back()

    run = seen(tmp_path / "out", pipeline, "observe", forth_and_back)
    assert (run.code, run.state) == (3, "changed"), run.summary
    assert "changed back to what it was" in run.summary


def test_a_second_release_while_the_first_one_settles_does_not_end_as_settled(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    def twice() -> None:
        pipeline.release("b")
        until(pipeline.rolled_out)
        time.sleep(2.5)  # its old pods are gone, and it settles
        pipeline.release("c", NEVER_READY)

    run = seen(tmp_path / "out", pipeline, "observe", twice, "--settle", "8s", "--max-time", "35s")
    assert (run.code, run.state) == (3, "changed"), run.summary
    assert run.record.ended_by == "max_time", "it never settles: its load goes on for as long as it may"


def test_a_release_while_a_deleted_pod_is_replaced_is_a_second_change(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(tmp_path / "out", pipeline, "delete-pod", lambda: pipeline.release("b"))
    assert (run.code, run.state) == (3, "changed"), run.summary
    assert "pipeline changed labels or annotations of the pods at +" in run.summary


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_workload_that_is_deleted_is_not_rolled_out(pipeline: Pipeline, tmp_path: Path) -> None:
    run = seen(tmp_path / "out", pipeline, "observe", pipeline.delete)
    grade = run.summary.rstrip().splitlines()[-1].partition(":")[0]
    assert (grade, run.code) in {("FAIL", 1), ("INCONCLUSIVE", 3)}, run.summary
    assert (run.state, run.record.ended_by) == ("deleted", "deleted")
    assert "somebody deleted the workload at +" in run.summary


def hands(run: Seen) -> list[str]:
    """What others did, in words, in the order of time."""
    return [change.told for change in run.record.changes]


def ended_after_ns(run: Seen) -> int:
    """From the last change of somebody else's to the end of the load."""
    return run.record.mark(Mark.LOAD_END) - run.record.changes[-1].at_ns


def test_a_second_release_meanwhile_is_seen_to_its_end_and_told_with_who_made_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(tmp_path / "out", pipeline, "restart", lambda: pipeline.release("b"))
    assert (run.code, run.state, run.record.ended_by) == (3, "changed", "changed"), run.summary
    assert hands(run) == ["pipeline changed labels or annotations of the pods"]
    settled = [run.record.mark(mark) for mark in (Mark.OLD_PODS_GONE, Mark.ENDPOINTS_SETTLED)]
    assert min(settled) > run.record.changes[0].at_ns
    assert ended_after_ns(run) >= 3 * NS
    assert "pipeline changed labels or annotations of the pods at +" in run.summary


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_an_undo_meanwhile_is_told_as_one_and_its_old_claim_keeps_nobody_away(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(
        tmp_path / "out", pipeline, "restart", lambda: pipeline.kubectl("rollout", "undo", "deployment/web")
    )
    assert (run.code, run.state, run.record.ended_by) == (3, "changed", "changed"), run.summary
    assert [change.kind for change in run.record.changes] == ["undone"]
    pipeline.kubectl("rollout", "undo", "deployment/web")
    until(pipeline.rolled_out)
    web = pipeline.api.get(WORKLOADS["Deployment"], "default", "web")
    assert "until" in web["metadata"]["annotations"][ANNOTATION], "the claim of the run that is over is back"
    again = seen(tmp_path / "again", pipeline, "restart", lambda: None)
    assert (again.code, again.record.ended_by) == (0, "settled"), again.summary
    assert not any("another run" in note for note in again.record.notes)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_rollout_that_is_paused_meanwhile_ends_the_run_once_nothing_moves_any_more(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(
        tmp_path / "out", pipeline, "restart", lambda: pipeline.kubectl("rollout", "pause", "deployment/web")
    )
    assert (run.code, run.state, run.record.ended_by) == (3, "changed", "changed"), run.summary
    (change,) = run.record.changes
    assert (change.kind, change.what) == ("paused", "paused the rollout")
    assert ended_after_ns(run) < 20 * NS


def test_a_scale_meanwhile_by_a_person_withholds_the_pass_and_says_who(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(tmp_path / "out", pipeline, "restart", lambda: pipeline.scale(3))
    assert (run.code, run.record.ended_by) == (3, "changed"), run.summary
    assert hands(run) == ["pipeline scaled it from 2 to 3 replicas"]
    assert "from 2 to 3 replicas, by pipeline" in run.summary


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_workload_deleted_during_its_own_rollout_ends_the_run_soon_and_no_manifest_is_to_blame(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(tmp_path / "out", pipeline, "restart", pipeline.delete, "--settle", "8s")
    assert (run.state, run.record.ended_by) == ("deleted", "deleted"), run.summary
    assert hands(run) == ["somebody deleted the workload"]
    assert ended_after_ns(run) <= 8.5 * NS
    assert run.code == 1, run.summary
    assert "in a rollout that somebody ended by deleting the workload at +" in run.summary
    assert "(D9)" not in run.summary
    assert "maxUnavailable" not in run.summary


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_service_deleted_meanwhile_is_told_and_what_fails_then_is_its_deletion_s(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    run = seen(
        tmp_path / "out",
        pipeline,
        "restart",
        lambda: pipeline.kubectl("delete", "service/web"),
        "--max-time",
        "25s",
    )
    assert hands(run) == ["somebody deleted the Service web"]
    assert run.code == 1, run.summary
    assert "somebody deleted the workload or its Service: nothing was left to answer (E4)" in " ".join(
        run.summary.lower().replace("(e4)", "(E4)").replace("service:", "Service:").split()
    )


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on this machine")
def test_a_pod_deleted_meanwhile_by_somebody_is_told_by_its_name(pipeline: Pipeline, tmp_path: Path) -> None:
    deleted: list[str] = []

    def one_of_the_new() -> None:
        until(lambda: bool(pipeline.newest_pods()))
        deleted.extend(pipeline.newest_pods()[:1])
        pipeline.kubectl("delete", f"pod/{deleted[0]}", "--wait=false")

    run = seen(tmp_path / "out", pipeline, "restart", one_of_the_new)
    assert hands(run) == [f"somebody deleted pod {deleted[0]}"], run.summary
    assert run.record.ended_by == "changed"
    assert f"somebody deleted pod {deleted[0]} at +" in " ".join(run.summary.split())


class Way:
    """A way to the API server that can be blocked: connections are cut, and new ones closed at once."""

    def __init__(self, port: int, at: int = 0) -> None:
        self._to, self._blocked = port, False
        self.swallows = False  # what the server says next ends its connection instead
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", at))
        self.port = int(self._listener.getsockname()[1])
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def block(self, *, blocked: bool) -> None:
        self._blocked = blocked
        while blocked and self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.block(blocked=True)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._blocked:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._to))
                self._open += [client, server]
                self._start(self._pass_on, client, server)

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        with client, server, contextlib.suppress(OSError):
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data or (self.swallows and end is server):
                        self.swallows = False
                        return
                    other[end].sendall(data)


def by_way_of(port: int, pipeline: Pipeline, folder: Path) -> Pipeline:
    """The same cluster, reached through another port."""
    config = Path(pipeline.kubeconfig).read_text()
    file = folder / "kubeconfig"
    file.write_text(config.replace(f":{urlsplit(pipeline.api.server).port}", f":{port}"))
    return replace(pipeline, kubeconfig=str(file), api=Api.connect(str(file), None))


def persistently(api: Api, once: Callable[[], dict[str, Any]], patch: dict[str, Any]) -> Sent[dict[str, Any]]:
    """Send a restart as a run does."""
    was = api.get(WORKLOADS["Deployment"], "default", "web")

    def found() -> dict[str, Any] | None:
        now = api.get(WORKLOADS["Deployment"], "default", "web")
        return now if was_made(parse("restart"), patch, was, now) else None

    log = SimpleNamespace(note=lambda _: None)
    tools = SimpleNamespace(
        clock=Clock.start(), log=log, say=lambda _: None, dry_run=False, interrupted=lambda: False
    )
    return anyio.run(send, cast("Tools", tools), once, found)


def generation(pipeline: Pipeline) -> int:
    return int(pipeline.api.get(WORKLOADS["Deployment"], "default", "web")["metadata"]["generation"])


def test_a_restart_whose_answer_the_way_swallowed_is_found_and_made_once(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    port = urlsplit(pipeline.api.server).port
    assert port
    way, before = Way(port), generation(pipeline)
    api = by_way_of(way.port, pipeline, tmp_path).api
    patch, tries = restart_patch(datetime.now(UTC)), list[int]()

    def once() -> dict[str, Any]:
        tries.append(1)
        way.swallows = True
        return api.patch("Deployment", "default", "web", patch, field_manager="test")

    try:
        sent = persistently(api, once, patch)
    finally:
        way.close()
    assert len(tries) == 1
    assert sent.answer["metadata"]["generation"] == generation(pipeline) == before + 1


def test_a_restart_that_is_refused_is_made_as_soon_as_the_api_server_is_there(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    port = urlsplit(pipeline.api.server).port
    assert port
    way, before = Way(port), generation(pipeline)
    api = by_way_of(way.port, pipeline, tmp_path).api
    patch, ways = restart_patch(datetime.now(UTC)), list[Way]()
    back = threading.Timer(2.0, lambda: ways.append(Way(port, at=way.port)))
    tries = list[int]()

    def once() -> dict[str, Any]:
        if not tries:
            way.close()
            back.start()
        tries.append(1)
        return api.patch("Deployment", "default", "web", patch, field_manager="test")

    try:
        sent = persistently(api, once, patch)
    finally:
        back.join()
        ways[0].close()
    assert len(tries) > 1
    assert sent.sent_ns >= 1.5 * NS
    assert generation(pipeline) == before + 1


@pytest.mark.slow
def test_a_run_whose_api_server_is_away_at_the_trigger_makes_its_change_later_and_once(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    port = urlsplit(pipeline.api.server).port
    assert port
    way, before = Way(port), generation(pipeline)

    def away() -> None:
        time.sleep(2)
        way.block(blocked=True)
        time.sleep(4)
        way.block(blocked=False)

    try:
        by_way = by_way_of(way.port, pipeline, tmp_path)
        run = seen(tmp_path / "out", by_way, "restart", away, "--trigger-after", "2s", at="closed loop")
    finally:
        way.close()
    assert run.state == "complete", run.summary
    templates = {
        json.dumps(event.object["spec"]["template"], sort_keys=True)
        for event in Recording.open(run.path).events()
        if event.kind == "Deployment"
    }
    assert len(templates) == 2, "as it was before, and restarted once"
    assert generation(pipeline) > before


def test_a_release_that_began_while_the_watch_was_blind_counts_from_there_and_does_not_pass(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    config = Path(pipeline.kubeconfig).read_text()
    port = urlsplit(pipeline.api.server).port
    assert port
    way = Way(port)
    by_that_way = tmp_path / "kubeconfig"
    by_that_way.write_text(config.replace(f":{port}", f":{way.port}"))

    def unseen() -> None:
        way.block(blocked=True)
        time.sleep(2)
        pipeline.release("b")
        time.sleep(2)
        way.block(blocked=False)

    try:
        run = seen(tmp_path / "out", replace(pipeline, kubeconfig=str(by_that_way)), "observe", unseen)
    finally:
        way.close()
    assert (run.code, run.state) == (3, "complete"), run.summary
    assert "the watch of" in run.summary
    gap = next(gap for gap in Recording.open(run.path).gaps() if gap.kind == "Deployment")
    assert not gap.relisted
    assert run.record.mark(Mark.TRIGGER) <= gap.to_ns - 4 * NS, "before the release, as far as anybody knows"


def command(folder: Path, pipeline: Pipeline, *steps: str) -> str:
    """A `command` trigger: a small program that takes these steps and prints when it is done."""
    program = folder / "tool.py"
    program.write_text(
        f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from tests.test_observe import *
pipeline = Pipeline(Api.connect({pipeline.kubeconfig!r}, None), "", "")
{chr(10).join(steps)}
print("done", flush=True)
"""
    )
    return f"command {sys.executable} {program}"


@pytest.mark.slow
def test_a_command_that_rolls_its_release_back_may_finish_and_does_not_pass(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    steps = ['pipeline.release("b", NEVER_READY)', "time.sleep(2)", "pipeline.take_back()", "time.sleep(1)"]
    run = seen(tmp_path / "out", pipeline, command(tmp_path, pipeline, *steps), lambda: None)
    assert (run.code, run.state) == (3, "changed"), run.summary
    assert "changed back to what it was" in run.summary
    assert (run.path / "command.log").read_text() == "done\n"


@pytest.mark.slow
def test_a_command_that_scales_first_and_releases_later_is_one_change(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    steps = [
        "pipeline.scale(3)", "time.sleep(5)", "until(pipeline.rolled_out)",
        'pipeline.release("b")', "time.sleep(1)", "until(pipeline.rolled_out)",
    ]  # fmt: skip
    run = seen(tmp_path / "out", pipeline, command(tmp_path, pipeline, *steps), lambda: None)
    assert (run.code, run.state) == (0, "complete"), run.summary
    assert run.record.rollout
    assert run.record.rollout.new_template
    assert len(run.record.rollout.old_pods) == 2
    assert run.record.mark(Mark.OLD_PODS_GONE) - run.record.mark(Mark.TRIGGER) > 5 * NS
